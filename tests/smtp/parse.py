#!/usr/bin/python3
"""What a message is to a mail program, as Python's email package reads it.

Run by itself, it reads a message of each file that is named, and writes a JSON object a line.
"""

import email
import email.policy
import html.parser
import json
import struct
import sys


class Page(html.parser.HTMLParser):
    """The text of an HTML page, its pictures, and tags that are not where they belong."""

    EMPTY = ("br", "img", "meta")

    def __init__(self):
        super().__init__()
        self.open, self.words, self.pictures, self.faults, self.tags = [], [], [], [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "img":
            self.pictures.append(dict(attributes).get("src"))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_comment(self, data):
        self.faults.append(data)

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "title"):
            self.words.append(data)


def parsed(content):
    message = email.message_from_bytes(content, policy=email.policy.default)
    parts = list(message.walk())
    page = Page()
    page.feed(message.get_body(("html",)).get_content() if message.get_body(("html",)) else "")
    page.close()
    pictures = [part for part in parts if part.get_content_maintype() == "image"]
    text = message.get_body(("plain",))
    return {
        "headers": [[name, str(value)] for name, value in message.items()],
        "defects": [str(defect) for part in parts for defect in part.defects]
        + [str(defect) for part in parts for _, value in part.items() for defect in value.defects],
        "parts": [part.get_content_type() for part in parts],
        # Lines end as Python has them; a lone CR stays and can be found.
        "text": text.get_content().replace("\r\n", "\n"),
        "html": {
            "text": " ".join(" ".join(page.words).split()),
            "tags": sorted(page.tags),
            "pictures": page.pictures,
            "faults": page.faults + page.open,
        },
        # Width and height are where every PNG file has them.
        "pictures": [
            {"id": part["Content-ID"], "size": struct.unpack(">II", part.get_content()[16:24])}
            for part in pictures
            if part.get_content()[:8] == b"\x89PNG\r\n\x1a\n"
        ],
        "raw": content.decode("ascii", "backslashreplace"),
    }


if __name__ == "__main__":
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            print(json.dumps(parsed(file.read())))
