//! A report as a flame graph, a picture that a browser shows and searches.

use anyhow::{Context, Result, ensure};
use inferno::flamegraph::{self, Options, Palette, color};

use super::Report;
use super::folded::folded;
use crate::quantity::{Bytes, count};
use crate::site::words::shorten;

/// Characters of a title, which no picture wraps.
const MAX_TITLE: usize = 100;

/// Draws the sites that may still grow. A report without sites is an error, which says why.
pub fn svg(report: &Report) -> Result<String> {
    // A stack of nothing has no width.
    let bytes = report
        .standing()
        .fold(0, |sum: u64, site| sum.saturating_add(site.bytes));
    ensure!(
        bytes > 0,
        "the report of alert {} has no sites to draw: see \"memleakctl report {}\"",
        report.id,
        report.id
    );
    let stacks: String = folded(report).chars().map(xml).collect();
    let mut options = Options::default();
    options.title = shorten(&title(report, bytes), MAX_TITLE)
        .chars()
        .map(xml)
        .collect();
    options.subtitle = subtitle(report);
    options.count_name = "bytes".to_owned();
    options.colors = Palette::Basic(color::BasicPalette::Mem);
    // The same report is the same picture.
    options.hash = true;
    options.deterministic = true;
    options.min_width = 0.01;
    let mut picture = Vec::new();
    flamegraph::from_lines(&mut options, stacks.lines(), &mut picture)
        .context("drawing the flame graph")?;
    String::from_utf8(picture).context("drawing the flame graph")
}

/// `postgres, postgresql.service: 12 MiB that stay`
fn title(report: &Report, bytes: u64) -> String {
    let place = report
        .user_unit
        .as_ref()
        .or(report.unit.as_ref())
        .or(report.container.as_ref());
    let place = place.map(|place| format!(", {place}")).unwrap_or_default();
    format!(
        "{} (pid {}{place}) on {}: {} that stay",
        report.comm,
        report.pid,
        report.host,
        Bytes(bytes)
    )
}

/// What a look at the picture does not tell.
fn subtitle(report: &Report) -> Option<String> {
    let time = report.captures.last()?.time.strftime("%Y-%m-%d %H:%M UTC");
    let n_standing = report.standing().count();
    let n_ended = report.sites.len() - n_standing;
    let ended = match n_ended {
        0 => String::new(),
        n => format!(
            ", without {} that did not grow again",
            count(n, "site", "sites")
        ),
    };
    Some(format!(
        "allocated and not freed in captures until {time}{ended}"
    ))
}

/// What XML cannot have, not even escaped, is replaced; inferno escapes the rest.
fn xml(c: char) -> char {
    match c {
        '\n' => c,
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{capture, report, site};

    #[test]
    fn a_picture_has_a_title_and_names_that_do_no_harm() {
        let mut hostile = site(3 << 20, &[1, 2]);
        hostile.frames[0].function = Some("<script>alert(\"x\")</script>&;\u{ffff}".to_owned());
        hostile.frames[1].function = Some("long".repeat(2500));
        let warm = site(1 << 20, &[9]);
        let mut found = report(vec![
            capture(0, vec![hostile.clone(), warm]),
            capture(5, vec![hostile]),
        ]);
        found.comm = "a</title><b>".to_owned();
        let picture = svg(&found).expect("a picture");
        for expected in [
            "a&lt;/title&gt;&lt;b&gt; (pid 812, postgresql.service) on db1: 3 MiB that stay",
            "2026-03-01 12:05 UTC, without 1 site that did not grow again",
            "&lt;script&gt;alert(",
            " (3,145,728 bytes, 100.00%)",
        ] {
            assert!(picture.contains(expected), "{expected}: {picture}");
        }
        for harm in ["<script>alert", "</title><b>", "\u{ffff}"] {
            assert!(!picture.contains(harm), "{harm}: {picture}");
        }
        assert_eq!(svg(&found).expect("a picture"), picture);
    }

    #[test]
    fn nothing_cannot_be_drawn() {
        for sites in [vec![], vec![site(0, &[1])]] {
            let error = svg(&report(vec![capture(0, sites)])).expect_err("nothing");
            let expected = "the report of alert 0123456789ab has no sites to draw: see \"memleakctl report 0123456789ab\"";
            assert_eq!(error.to_string(), expected);
        }
    }
}
