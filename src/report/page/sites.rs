//! The table of sites, each with its stack.

use super::section;
use super::times::Times;
use crate::html::Writer;
use crate::quantity::Bytes;
use crate::report::{Report, text};
use crate::site::culprit::culprit;
use crate::site::{Attribution, Site, words};

/// Writes the table, and what the captures were; nothing if there was none.
pub(super) fn write(writer: &mut Writer, report: &Report, times: &Times<'_>) {
    if report.captures.is_empty() && report.sites.is_empty() {
        return;
    }
    section(writer, "sites", "Sites", |writer| {
        if !report.sites.is_empty() {
            table(writer, &report.sites);
        }
        captures(writer, report, times);
        let nameless = text::nameless(&report.sites);
        if !nameless.is_empty() {
            writer.element("p", &[], "Files with functions that have no name here:");
            writer.within("ul", &[("class", "files")], |writer| {
                for file in nameless {
                    writer.element("li", &[], &file);
                }
            });
        }
    });
}

fn table(writer: &mut Writer, sites: &[Site]) {
    writer.within("table", &[("class", "sites")], |writer| {
        writer.within("thead", &[], |writer| {
            writer.within("tr", &[], |writer| {
                for (heading, class) in [
                    ("Stays", "number"),
                    ("Count", "number"),
                    ("Again", ""),
                    ("Site and its stack", ""),
                ] {
                    writer.element("th", &[("scope", "col"), ("class", class)], heading);
                }
            });
        });
        writer.within("tbody", &[], |writer| {
            for (index, site) in sites.iter().enumerate() {
                writer.within("tr", &[], |writer| row(writer, site, index == 0));
            }
        });
    });
}

fn row(writer: &mut Writer, site: &Site, is_open: bool) {
    writer.element("td", &[("class", "number")], &Bytes(site.bytes).to_string());
    writer.element("td", &[("class", "number")], &site.count.to_string());
    let (again, class) = match site.grows_again {
        Some(true) => ("grew again", "again"),
        Some(false) => ("did not", "ended"),
        None => ("not known", "open"),
    };
    writer.element("td", &[("class", class)], again);
    writer.within("td", &[], |writer| {
        let open: &[_] = if is_open { &[("open", "")] } else { &[] };
        writer.within("details", open, |writer| {
            let place = culprit(site).map_or_else(|| "?".to_owned(), words::place);
            writer.within("summary", &[], |writer| {
                writer.element("code", &[], &place);
                if let Some(kind) = kind(site.attribution) {
                    writer.text(" ");
                    writer.element("small", &[], kind);
                }
            });
            writer.within("ol", &[], |writer| {
                for frame in &site.frames {
                    writer.element("li", &[], &words::frame(frame));
                }
                if let Some(why) = &site.cut {
                    writer.element("li", &[("class", "cut")], &format!("… cut here: {why}"));
                }
            });
            let known = text::known(site);
            let known = known.trim_start_matches('(').trim_end_matches(')');
            writer.element("p", &[], known);
        });
    });
}

/// What is counted, where it is not blocks that were followed to their free.
fn kind(attribution: Attribution) -> Option<&'static str> {
    match attribution {
        Attribution::Paired => None,
        Attribution::BySize => Some("by size: one of these"),
        Attribution::Mapping => Some("mapped by itself"),
        Attribution::Touched => Some("touched for the first time"),
        Attribution::Kernel => Some("kernel memory"),
    }
}

fn captures(writer: &mut Writer, report: &Report, times: &Times<'_>) {
    writer.within("ul", &[("class", "captures")], |writer| {
        for capture in &report.captures {
            writer.within("li", &[], |writer| {
                writer.text("Captured until ");
                times.write(writer, capture.time);
                writer.text(&format!(
                    ", for {}: {}",
                    text::seen(capture),
                    capture.method
                ));
            });
        }
    });
}
