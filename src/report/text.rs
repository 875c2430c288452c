//! A report for a terminal at three in the morning: the conclusion first, then what it rests on.

use crate::alert::message::{cause, local};
use crate::quantity::{Rate, Span, count};
use crate::site::culprit::{Chief, chief};
use crate::site::{Attribution, Frame, Site, words};

use super::{Report, StackCapture};

/// Below that nothing can be told any more.
const MIN_COLUMNS: usize = 40;
/// The column where values begin.
const INDENT: usize = 14;

/// The whole text, wrapped at so many columns. Ends in a newline.
pub fn text(report: &Report, columns: usize) -> String {
    let page = Page {
        columns: columns.max(MIN_COLUMNS),
    };
    let mut text = page.paragraph("", "", &conclusion(report));
    text.push('\n');
    for (label, value) in facts(report) {
        text += &page.paragraph(&format!("  {label:<11} "), &" ".repeat(INDENT), &value);
    }
    for (site, n) in report.sites.iter().zip(1..) {
        text.push('\n');
        text += &page.site(site, n);
    }
    let nameless = nameless(&report.sites);
    if !nameless.is_empty() {
        text.push('\n');
        text += &page.paragraph("", "", "files with functions that have no name here");
    }
    for file in nameless {
        text += &page.paragraph("  ", "    ", &file);
    }
    text
}

/// `parse_row (query.c:120) keeps 12 MiB in 340 blocks, and grew again 5 min later`
pub(super) fn conclusion(report: &Report) -> String {
    if report.captures.is_empty() {
        return "nothing has been captured yet".to_owned();
    }
    let Some(chief) = chief(&report.sites) else {
        return "nothing that was allocated during the capture was left at its end".to_owned();
    };
    let Chief {
        attribution,
        n_sites,
        ..
    } = chief;
    let place = words::place(chief.frame);
    let held = words::held(attribution, chief.bytes, chief.count);
    let stacks = match n_sites {
        0 | 1 => String::new(),
        n => format!(", by {}", count(n, "stack", "stacks")),
    };
    let keeps = match attribution {
        Attribution::Paired | Attribution::Kernel | Attribution::Mapping => {
            format!("{place} keeps {held}{stacks}")
        }
        Attribution::BySize => {
            format!("{place} allocates blocks of sizes that grow, its share is {held}{stacks}")
        }
        Attribution::Touched => format!("{place} was the first to touch {held}{stacks}"),
    };
    match (chief.grows_again, later(&report.captures)) {
        (Some(true), Some(later)) => format!("{keeps}, and grew again {later} later"),
        (Some(false), Some(later)) => format!(
            "nothing has grown again: {keeps}, but not {later} later, like a program that warms up"
        ),
        (None, Some(_)) => format!("{keeps}, which is new in the latest capture"),
        _ => {
            format!("{keeps}; one capture alone does not tell a leak from a program that warms up")
        }
    }
}

/// The time from the first capture to the latest.
fn later(captures: &[StackCapture]) -> Option<Span> {
    let (first, rest) = captures.split_first()?;
    let secs = rest.last()?.time.duration_since(first.time).as_secs_f64();
    Some(Span::from_secs_f64(secs))
}

fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let process = format!("{} (pid {}, user {})", report.comm, report.pid, report.uid);
    let mut facts = vec![("process", process)];
    for (label, value) in [
        ("executable", &report.exe),
        ("unit", &report.unit),
        ("user unit", &report.user_unit),
        ("container", &report.container),
    ] {
        facts.extend(value.clone().map(|value| (label, value)));
    }
    facts.push(("host", report.host.clone()));
    facts.extend(cause(report.cause).map(|cause| ("cause", cause.to_owned())));
    facts.push(("rule", report.rule.clone()));
    facts.push(("alert", report.id.clone()));
    for capture in &report.captures {
        facts.push(("captured", captured(capture)));
        facts.extend(capture.loss.iter().map(|loss| ("not seen", loss.clone())));
    }
    facts.extend(report.loss.iter().map(|loss| ("left out", loss.clone())));
    facts
}

/// `until 2026-03-01 12:05 UTC, 30 s in 5 min: glibc 2.36, by chunk headers`
fn captured(capture: &StackCapture) -> String {
    let time = local(capture.time);
    format!("until {time}, for {}: {}", seen(capture), capture.method)
}

/// `30 s in 5 min`: for how long allocations were seen, and in how long.
pub(super) fn seen(capture: &StackCapture) -> String {
    let seen = Span::from_secs_f64(capture.secs).to_string();
    let span = Span::from_secs_f64(capture.span_secs).to_string();
    match seen == span || capture.span_secs <= capture.secs {
        true => seen,
        false => format!("{seen} in {span}"),
    }
}

/// The files of frames without a function, with what it takes to name these elsewhere.
pub(super) fn nameless(sites: &[Site]) -> Vec<String> {
    let frames = sites.iter().flat_map(|site| &site.frames);
    let mut files = Vec::new();
    for frame in frames.filter(|frame| frame.function.is_none()) {
        let Some(module) = &frame.module else {
            continue;
        };
        let id = frame.build_id.as_ref().map_or_else(
            || "without build id".to_owned(),
            |id| format!("build id {id}"),
        );
        let file = format!("{module}, {id}");
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

/// Something to write on that is so wide.
struct Page {
    columns: usize,
}

impl Page {
    fn site(&self, site: &Site, n: usize) -> String {
        let mut text = self.paragraph(&format!("{n}. "), "   ", &words::heading(site));
        for frame in &site.frames {
            text += &self.frame(frame);
        }
        if let Some(why) = &site.cut {
            text += &self.paragraph("     … ", "       ", &format!("cut here: {why}"));
        }
        text + &self.paragraph("   ", "   ", &known(site))
    }

    /// A frame in one line, if it fits at all.
    fn frame(&self, frame: &Frame) -> String {
        self.paragraph("     ", "       ", &words::frame(frame))
    }

    /// Text in lines, between words, with an indentation of the first and of the others. A word that
    /// is longer than a line is broken.
    fn paragraph(&self, first: &str, others: &str, text: &str) -> String {
        let mut lines = first.to_owned();
        let mut n_chars = first.chars().count();
        let mut is_fresh = true;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let n_word = word.chars().count();
            if !is_fresh && n_chars + 1 + n_word > self.columns {
                lines = lines + "\n" + others;
                n_chars = others.chars().count();
                is_fresh = true;
            }
            if !is_fresh {
                lines.push(' ');
                n_chars += 1;
            }
            for c in word.chars() {
                if n_chars >= self.columns {
                    lines = lines + "\n" + others;
                    n_chars = others.chars().count();
                }
                lines.push(c);
                n_chars += 1;
            }
            is_fresh = false;
        }
        lines + "\n"
    }
}

/// What else is known of a site: its rates, its age, and how that is known.
pub(super) fn known(site: &Site) -> String {
    let allocated = Rate::from_bytes_per_sec(site.allocated_bytes_per_sec);
    let freed = Rate::from_bytes_per_sec(site.freed_bytes_per_sec);
    let rates = match (site.attribution, site.allocated_bytes_per_sec > 0.0) {
        // A page is not given back where it was touched.
        (_, false) => String::new(),
        (Attribution::Touched, true) => format!("{allocated} touched; "),
        (Attribution::Mapping, true) => format!("{allocated} mapped, {freed} unmapped; "),
        (_, true) => format!("{allocated} allocated, {freed} freed; "),
    };
    let age = site.median_age_secs.map(Span::from_secs_f64);
    let age = age.map(|age| format!("half of it is older than {age}; "));
    let how = words::attribution(site.attribution);
    format!("({rates}{}{how})", age.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Cause;
    use crate::report::tests::{capture, report, site};

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn frame(function: &str, file: &str, line: u32) -> Frame {
        Frame {
            function: some(function),
            file: some(file),
            line: Some(line),
            module: some("/usr/bin/app"),
            ..Frame::default()
        }
    }

    fn leak() -> Site {
        let unnamed = Frame {
            module: some("/usr/lib/x86_64-linux-gnu/libquery.so.1"),
            build_id: some("0123456789abcdef0123456789abcdef01234567"),
            offset: Some(0x4711),
            unknown: some("it has no symbols, and no debug file was found"),
            ..Frame::default()
        };
        let inlined = Frame {
            inlined: true,
            ..frame("next_row", "query.c", 88)
        };
        Site {
            bytes: 12 << 20,
            count: 340,
            allocated_bytes_per_sec: 419_430.4,
            freed_bytes_per_sec: 20_000.0,
            median_age_secs: Some(14.9),
            frames: vec![
                frame("xmalloc", "xmalloc.c", 12),
                frame("parse_row", "query.c", 120),
                inlined,
                frame(
                    "std::_Rb_tree<std::string, std::pair<std::string const, std::vector<int> > >::_M_insert_<std::pair<std::string, std::vector<int> >, true>(std::_Rb_tree_node_base*)",
                    "/build/query-1.0/src/include/rows.hpp",
                    7,
                ),
                unnamed,
            ],
            ..Site::default()
        }
    }

    #[test]
    fn the_conclusion_comes_first_then_what_it_rests_on() {
        let warm = Site {
            attribution: Attribution::BySize,
            cut: some("deeper than 128 frames"),
            ..site(3 << 20, &[0x47])
        };
        let mut later = capture(5, vec![leak()]);
        later.span_secs = 300.0;
        later.loss = vec!["12 samples came while the buffer was full".to_owned()];
        let mut found = report(vec![capture(0, vec![leak(), warm]), later]);
        for capture in &mut found.captures {
            capture.method = "glibc".to_owned();
        }
        found.cause = Cause::Heap;
        let expected = "\
parse_row (query.c:120) keeps 12 MiB in 340 blocks, and grew again 5 min later

  process     postgres (pid 812, user 105)
  executable  /usr/lib/postgresql/15/bin/postgres
  unit        postgresql.service
  host        db1
  cause       the program allocates and does not free
  rule        default
  alert       0123456789ab
  captured    until 2026-03-01 12:00 UTC, for 30 s: glibc
  captured    until 2026-03-01 12:05 UTC, for 30 s in 5 min: glibc
  not seen    12 samples came while the buffer was full

1. 12 MiB in 340 blocks, grew again, allocated by
     xmalloc (xmalloc.c:12)
     parse_row (query.c:120)
     next_row (query.c:88), inlined
     std::_Rb_tree<…>::_M_insert_<…>(…)
       (/build/query-1.0/src/include/rows.hpp:7)
     libquery.so.1+0x4711 (build id 0123456789ab…): it has no symbols, and no
       debug file was found
   (24 MiB/min allocated, 1.1 MiB/min freed; half of it is older than 15 s; each
   sampled block was followed to its free)

2. 3 MiB in 1 block, by size: one of these, did not grow again, allocated by
     f71 (app+0x47)
     … cut here: deeper than 128 frames
   (blocks of its sizes grow in number: which of those that allocate them keeps
   them is not known, and each has its share)

files with functions that have no name here
  /usr/lib/x86_64-linux-gnu/libquery.so.1, build id
    0123456789abcdef0123456789abcdef01234567
";
        // The clock of who runs this may be another.
        let mut expected = expected.to_owned();
        for (capture, utc) in found.captures.iter().zip(["12:00", "12:05"]) {
            let utc = format!("2026-03-01 {utc} UTC");
            expected = expected.replace(&utc, &local(capture.time));
        }
        assert_eq!(text(&found, 80), expected);
    }

    #[test]
    fn a_conclusion_says_as_much_as_is_known() {
        let with = |attribution| Site {
            attribution,
            ..site(2 << 20, &[1, 2])
        };
        let paired = || with(Attribution::Paired);
        for (captures, expected) in [
            (vec![], "nothing has been captured yet"),
            (
                vec![capture(0, vec![])],
                "nothing that was allocated during the capture was left at its end",
            ),
            (
                vec![capture(0, vec![paired()])],
                "f1 (app+0x1) keeps 2 MiB in 1 block; one capture alone does not tell a leak from a program that warms up",
            ),
            (
                vec![capture(0, vec![paired()]), capture(5, vec![])],
                "nothing has grown again: f1 (app+0x1) keeps 2 MiB in 1 block, but not 5 min later, like a program that warms up",
            ),
            (
                vec![capture(0, vec![]), capture(5, vec![paired()])],
                "f1 (app+0x1) keeps 2 MiB in 1 block, which is new in the latest capture",
            ),
            (
                vec![
                    capture(0, vec![with(Attribution::Kernel)]),
                    capture(5, vec![with(Attribution::Kernel)]),
                ],
                "f1 (app+0x1) keeps 2 MiB of kernel memory in 1 object, and grew again 5 min later",
            ),
            (
                vec![
                    capture(0, vec![with(Attribution::BySize)]),
                    capture(5, vec![with(Attribution::BySize)]),
                ],
                "f1 (app+0x1) allocates blocks of sizes that grow, its share is 2 MiB in 1 block, and grew again 5 min later",
            ),
            (
                vec![
                    capture(0, vec![with(Attribution::Touched), site(5, &[1])]),
                    capture(5, vec![with(Attribution::Touched)]),
                ],
                "f1 (app+0x1) was the first to touch 2 MiB in 1 page fault, and grew again 5 min later",
            ),
        ] {
            assert_eq!(conclusion(&report(captures)), expected);
        }
        let others = site(2 << 20, &[1, 3]);
        assert_eq!(
            conclusion(&report(vec![capture(0, vec![paired(), others])])),
            "f1 (app+0x1) keeps 4 MiB in 2 blocks, by 2 stacks; one capture alone does not tell a leak from a program that warms up"
        );
    }

    #[test]
    fn no_line_is_too_long_whatever_the_names() {
        let mut found = report(vec![capture(0, vec![leak()])]);
        found.comm = "x".repeat(500);
        found.unit = some(&"é".repeat(300));
        found.sites[0].frames[0].function = some(&"a<b ".repeat(2500));
        found.sites[0].frames[0].unknown = some(&"why".repeat(300));
        found.sites[0].median_age_secs = Some(f64::MAX);
        found.sites[0].allocated_bytes_per_sec = f64::NAN;
        found.captures[0].secs = -1.0;
        for columns in [0, 40, 80, 200] {
            let text = text(&found, columns);
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(columns.max(MIN_COLUMNS)), "{text}");
        }
        assert!(text(&found, usize::MAX).contains(&"é".repeat(300)));
    }
}
