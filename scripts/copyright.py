#!/usr/bin/env python3
"""Writes packaging/debian/copyright, and the License tag of packaging/memleakd.spec.

The programs contain the crates that they are linked with: whoever passes the programs on passes
these on as well, under their licences. Run by `make copyright` after dependencies have changed; a
test says when that is due.
"""

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
COPYRIGHT = TOP / "packaging/debian/copyright"
SPEC = TOP / "packaging/memleakd.spec"
TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]

# Debian's names of licences where they are not those of SPDX.
DEBIAN_NAMES = {
    "MIT": "Expat",
    "BSD-2-Clause": "BSD-2-clause",
    "BSD-3-Clause": "BSD-3-clause",
    "LGPL-2.1-only": "LGPL-2.1",
    "GPL-2.0-only": "GPL-2",
    "Apache-2.0 WITH LLVM-exception": "Apache-2.0 with LLVM exception",
}

# A phrase that only this licence has, where its text begins, and where it ends.
TEXTS = {
    "Expat": ("sublicense, and/or sell", "Permission is", "SOFTWARE."),
    "BSD-2-clause": ("Redistribution and use in source", "Redistribution and", "SUCH DAMAGE."),
    "BSD-3-clause": ("Redistribution and use in source", "Redistribution and", "SUCH DAMAGE."),
    "ISC": ("provided that the above copyright notice", "Permission to use", "SOFTWARE."),
    "0BSD": ("Permission to use, copy, modify", "Permission to use", "SOFTWARE."),
    "Zlib": ("Altered source versions must be plainly", "This software is provided", None),
    "Unlicense": ("This is free and unencumbered", "This is free", None),
    "BSL-1.0": ("Boost Software License", "Permission is hereby", "SOFTWARE."),
    "CDDL-1.0": ("COMMON DEVELOPMENT AND DISTRIBUTION LICENSE", None, None),
    "Unicode-3.0": ("UNICODE LICENSE V3", "NOTICE TO USER", "of the copyright holder."),
}

# These are in /usr/share/common-licenses, where Debian wants them named and not quoted.
COMMON = {
    "Apache-2.0": "Apache-2.0",
    "GPL-2": "GPL-2",
    "LGPL-2.1": "LGPL-2.1",
}

LLVM_EXCEPTION = """\
As an exception, if, as a result of your compiling your source code, portions of this Software are
embedded into an Object form of such source code, you may redistribute such embedded portions in
such Object form without complying with the conditions of Sections 4(a), 4(b) and 4(d) of the
License.

In addition, if you combine or link compiled forms of this Software with software that is licensed
under the GPLv2 ("Combined Software") and if a court of competent jurisdiction determines that the
patent provision (Section 3), the indemnity provision (Section 9) or other Section of the License
conflicts with the conditions of the GPLv2, you may retroactively and prospectively choose to deem
waived or otherwise exclude such Section(s) of the License, but only in their entirety and only
with respect to the Combined Software."""

# What crates bring along that is not theirs, and what the compiler adds.
BROUGHT_ALONG = [
    {
        "files": "vendor/libbpf-sys/libbpf/*",
        "copyright": ["2015-2026 The libbpf authors"],
        "licence": "LGPL-2.1 or BSD-2-clause",
    },
    {
        "files": "vendor/lzma-sys/xz-5.2/*",
        "copyright": ["None: its authors have put it into the public domain"],
        "licence": "public-domain",
        "comment": "Linked in only where it was compiled without liblzma.",
    },
    {
        "files": "vendor/ring/crypto/* vendor/ring/third_party/fiat/*",
        "copyright": [
            "1998-2025 The OpenSSL Project Authors",
            "2014-2025 Google Inc., The BoringSSL Authors",
            "2015-2020 the fiat-crypto authors",
        ],
        "licence": "Apache-2.0 and ISC and Expat",
    },
    {
        "files": "vendor/zstd-sys/zstd/*",
        "copyright": ["Meta Platforms, Inc. and affiliates"],
        "licence": "BSD-3-clause or GPL-2",
    },
    {
        "files": "rust/library/*",
        "copyright": ["The Rust Project Developers"],
        "licence": "Expat or Apache-2.0",
        "comment": "The standard library of Rust, from https://github.com/rust-lang/rust.",
    },
]

PUBLIC_DOMAIN = """\
Authors and contributors have put their work into the public domain: anybody may use, change and
pass it on, for any purpose, without condition and without warranty."""

HEADER = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: memleakd
Comment: The programs contain the crates that they are linked with. Below vendor/ each of them
 stands as "cargo vendor" would have it, and its source code is at https://crates.io/crates/NAME.
 scripts/copyright.py has written this.

Files: *
Copyright: 2026 The memleakd authors
License: Expat

Files: bpf/*
Copyright: 2026 The memleakd authors
License: Expat or GPL-2
"""


def main():
    crates = linked_crates()
    stanzas = {}
    texts = {}
    for crate in crates:
        holders = tuple(copyright_holders(crate))
        stanzas.setdefault((licence_of(crate), holders), []).append(crate["name"])
        collect_texts(crate, texts)
    parts = [HEADER]
    for (licence, holders), names in sorted(stanzas.items(), key=lambda item: item[1]):
        parts.append(stanza(" ".join(f"vendor/{name}/*" for name in names), holders, licence))
    for extra in BROUGHT_ALONG:
        parts.append(
            stanza(extra["files"], extra["copyright"], extra["licence"], extra.get("comment"))
        )
    used = set()
    for licence in [key[0] for key in stanzas] + [extra["licence"] for extra in BROUGHT_ALONG]:
        used.update(re.split(r",? (?:and|or) ", licence))
    used.update(["Expat", "GPL-2"])
    for name in sorted(used, key=str.lower):
        parts.append(licence_paragraph(name, texts))
    COPYRIGHT.write_text("\n".join(parts))
    write_license_tag(crates)


def linked_crates():
    """The packages, as `cargo metadata` has them, whose code is in the programs."""
    linked = set()
    for target in TARGETS:
        # A macro runs in the compiler: its own code ends up in no program.
        arguments = ["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]
        for line in cargo("tree", "--target", target, *arguments).splitlines():
            linked.add(line.split()[0])
    packages = json.loads(cargo("metadata", "--format-version", "1"))["packages"]
    crates = {package["name"]: package for package in packages if package["source"]}
    return [crates[name] for name in sorted(linked & crates.keys())]


def cargo(*arguments):
    command = ["cargo", arguments[0], "--locked", *arguments[1:]]
    return subprocess.run(command, cwd=TOP, check=True, stdout=subprocess.PIPE, text=True).stdout


def licence_of(crate):
    """The crate's expression in Debian's words, in which a comma separates what brackets would."""
    expression = crate["license"].replace("/", " OR ").replace("  ", " ")
    expression = re.sub(r"^\((.*)\) AND (\S+)$", r"\1, AND \2", expression)
    if "(" in expression:
        sys.exit(f"copyright: the licence of {crate['name']} needs thought: {crate['license']}")
    for spdx, debian in sorted(DEBIAN_NAMES.items(), key=lambda item: -len(item[0])):
        expression = re.sub(rf"(?<![\w.-]){re.escape(spdx)}(?![\w.-])", debian, expression)
    return expression.replace(" AND ", " and ").replace(" OR ", " or ")


def licence_files(crate):
    folder = Path(crate["manifest_path"]).parent
    names = re.compile(r"^(licen[cs]e|copying|unlicense|copyright|notice)", re.IGNORECASE)
    for path in sorted(folder.iterdir()):
        if path.is_file() and names.match(path.name):
            yield path.read_text(errors="replace")


def copyright_holders(crate):
    """Who says in the crate's licence files to hold the copyright, or else who wrote it."""
    authors = [re.sub(r" *<.*>", "", author) for author in crate["authors"]]
    unnamed = ", ".join(authors) or f"The authors of {crate['name']}"
    mark = re.compile(r"^\W{0,6}copyright\b(?: *\(c\)| *©)?[\s:,]*(.*)$", re.IGNORECASE)
    # Words of the licences themselves, and forms that nobody has filled in.
    prose = re.compile(
        r".*[\[{<\"]|(and|assignment|disclaimer|holder|law|license|notices?|owner|statement|year)\b"
        r"|.*Free Software Foundation",
        re.IGNORECASE,
    )
    holders = []
    for line in "\n".join(licence_files(crate)).splitlines():
        match = mark.match(line)
        if not match:
            continue
        holder = re.sub(r",? *all rights reserved\.?", "", match[1], flags=re.IGNORECASE)
        holder = re.sub(r" <.*>$", "", " ".join(holder.split())).removesuffix(" or").rstrip(".,")
        if re.fullmatch(r"[\d\s,-]+", holder):
            holder = f"{holder} {unnamed}"
        if len(holder) > 3 and not prose.match(holder) and holder not in holders:
            holders.append(holder)
    return holders or [unnamed]


def collect_texts(crate, texts):
    """Adds the texts of the crate's licences to those of the crates before it, each once."""
    names = set(re.split(r",? (?:and|or) ", licence_of(crate)))
    for name in names & TEXTS.keys():
        phrase, begin, end = TEXTS[name]
        for text in licence_files(crate):
            flat = " ".join(text.split())
            if phrase not in flat:
                continue
            has_third_clause = re.search("neither the name|names of its", flat, re.IGNORECASE)
            if name == "BSD-2-clause" and has_third_clause:
                continue
            if name == "BSD-3-clause" and not has_third_clause:
                continue
            if name == "0BSD" and "provided that the above" in flat:
                continue
            start = text.find(begin) if begin else 0
            stop = text.find(end, start) + len(end) if end and end in text[start:] else len(text)
            body = strip_comment_marks(text[start:stop])
            # Numbers or bullets make no other licence, and no more do one author or several.
            key = re.sub(r"[\W\d]+|s\b", " ", body.lower().replace("owner", "holder"))
            key = " ".join(key.split())
            texts.setdefault(name, {}).setdefault(key, (body, []))[1].append(crate["name"])


def strip_comment_marks(text):
    lines = [re.sub(r"^// ?", "", line).rstrip() for line in text.expandtabs().splitlines()]
    wrapped = [textwrap.fill(line, 98) if len(line) > 100 else line for line in lines]
    return textwrap.dedent("\n".join(wrapped)).strip()


def stanza(files, holders, licence, comment=None):
    lines = textwrap.wrap(f"Files: {files}", 98, subsequent_indent=" ", break_on_hyphens=False)
    lines.append("Copyright: " + "\n ".join(holders))
    lines.append(f"License: {licence}")
    if comment:
        lines.append(f"Comment: {comment}")
    return "\n".join(lines) + "\n"


def licence_paragraph(name, texts):
    if name in COMMON:
        place = f"/usr/share/common-licenses/{COMMON[name]}"
        return f"License: {name}\n On Debian systems, the full text of it is in\n {place}.\n"
    if name == "Apache-2.0 with LLVM exception":
        place = "/usr/share/common-licenses/Apache-2.0"
        text = f"On Debian systems, the full text of the Apache License 2.0 is in\n{place}.\n\n"
        return f"License: {name}\n" + indented(text + LLVM_EXCEPTION)
    if name == "public-domain":
        return f"License: {name}\n" + indented(PUBLIC_DOMAIN)
    if name not in texts:
        sys.exit(f"copyright: no crate has the text of {name}")
    # The wording that most have comes first; who words it differently is quoted as well.
    variants = sorted(texts[name].values(), key=lambda variant: -len(variant[1]))
    body = variants[0][0]
    for text, crates in variants[1:]:
        body += f"\n\nIn the words of {', '.join(crates)}:\n\n{text}"
    return f"License: {name}\n" + indented(body)


def indented(text):
    return "".join(f" {line}\n" if line.strip() else " .\n" for line in text.splitlines())


def write_license_tag(crates):
    """All of the expressions, each once, as Fedora wants the tag of a statically linked program."""
    expressions = ["MIT", "MIT OR GPL-2.0-only", "BSD-3-Clause OR GPL-2.0-only"]
    expressions += [crate["license"].replace("/", " OR ") for crate in crates]
    terms = {term.strip("()") for expression in expressions for term in expression.split(" AND ")}
    terms = {" OR ".join(sorted(re.split(" +OR +", term))) for term in terms}
    terms = [
        f"({term})" if " OR " in term else term
        for term in sorted(terms, key=lambda term: (" OR " in term, term))
    ]
    tag = "License:        " + " AND ".join(terms)
    SPEC.write_text(re.sub(r"^License: .*$", tag, SPEC.read_text(), flags=re.MULTILINE))


main()
