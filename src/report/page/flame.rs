//! What stays, by who has called whom: a picture that can be read as it is, and zoomed and searched
//! where its script runs.
//!
//! Boxes are put at parts of the width, so that letters keep their size on any screen; each is an
//! SVG of its own, which cuts what is too long for it.

mod tree;

use super::chart::percent;
use crate::html::Writer;
use crate::quantity::{Bytes, count};
use crate::report::Report;
use tree::{Kind, Node, tree};

/// The height of a row in pixels.
const ROW: usize = 20;
/// A box that is narrower is left out: it could be seen by nobody.
const MIN_PART: f64 = 0.0005;
/// A box that is narrower has no letters before the script knows how wide it is.
const MIN_LABEL: f64 = 0.02;

/// Writes the picture, or why there is none.
pub(super) fn write(writer: &mut Writer, report: &Report) {
    let root = tree(report);
    if root.bytes == 0 {
        return;
    }
    let n_ended = report.sites.len() - report.standing().count();
    let ended = match n_ended {
        0 => String::new(),
        n => format!(
            ", without {} that did not grow again",
            count(n, "site", "sites")
        ),
    };
    let tiles = tiles(&root);
    let depth = tiles.iter().map(|each| each.depth).max().unwrap_or(0);
    let height = ((depth + 1) * ROW).to_string();
    let text = format!(
        "Flame graph of {} that stay, in {}; the table below has the same as text",
        Bytes(root.bytes),
        count(report.standing().count(), "stack", "stacks")
    );
    writer.within("figure", &[("class", "flame")], |writer| {
        controls(writer);
        let attributes = [
            ("id", "flame"),
            ("width", "100%"),
            ("height", height.as_str()),
            ("role", "img"),
            ("aria-label", &text),
        ];
        writer.within("svg", &attributes, |writer| {
            for each in &tiles {
                write_tile(writer, each, root.bytes);
            }
        });
        let detail = [("id", "flame-detail"), ("aria-live", "polite"), ("hidden", "")];
        writer.element("p", &detail, "");
        writer.within("figcaption", &[], |writer| {
            writer.within("ul", &[("class", "legend")], |writer| {
                for kind in Kind::ALL {
                    if tiles.iter().any(|each| each.node.kind == kind && each.depth > 0) {
                        writer.within("li", &[], |writer| {
                            let size = [("class", "swatch"), ("aria-hidden", "true")];
                            writer.within("svg", &size, |writer| {
                                let size = [("class", kind.class()), ("width", "100%"), ("height", "100%")];
                                writer.empty("rect", &size);
                            });
                            writer.text(kind.words());
                        });
                    }
                }
            });
            writer.text(&format!(
                "Each box is a function, below it are those that it has called. Its width is what stays of what these allocated{ended}."
            ));
        });
    });
}

/// What the script does, shown by it.
fn controls(writer: &mut Writer) {
    let attributes = [
        ("class", "controls"),
        ("id", "flame-controls"),
        ("hidden", ""),
    ];
    writer.within("div", &attributes, |writer| {
        writer.within("label", &[], |writer| {
            writer.text("Search ");
            let input = [
                ("type", "search"),
                ("id", "flame-search"),
                ("autocomplete", "off"),
                ("spellcheck", "false"),
                ("placeholder", "function"),
            ];
            writer.empty("input", &input);
        });
        let found = [("id", "flame-found"), ("aria-live", "polite")];
        writer.element("output", &found, "");
        let reset = [("type", "button"), ("id", "flame-reset"), ("disabled", "")];
        writer.element("button", &reset, "Show all");
        writer.element(
            "small",
            &[],
            "Click a box to zoom; with the keyboard: arrows, Enter, Escape.",
        );
    });
}

/// A box: its place as parts of the whole width.
struct Tile<'a> {
    node: &'a Node,
    depth: usize,
    start: f64,
    width: f64,
}

/// From the root to the leaves, those to the left first. Without recursion: stacks are as deep as
/// whoever runs a program wishes.
fn tiles(root: &Node) -> Vec<Tile<'_>> {
    let mut tiles = Vec::new();
    let whole = root.bytes as f64;
    let mut waiting = vec![Tile {
        node: root,
        depth: 0,
        start: 0.0,
        width: 1.0,
    }];
    while let Some(each) = waiting.pop() {
        let mut start = each.start;
        let mut below = Vec::new();
        for child in &each.node.children {
            let width = child.bytes as f64 / whole;
            if width >= MIN_PART {
                below.push(Tile {
                    node: child,
                    depth: each.depth + 1,
                    start,
                    width,
                });
            }
            start += width;
        }
        waiting.extend(below.into_iter().rev());
        tiles.push(each);
    }
    tiles
}

fn write_tile(writer: &mut Writer, each: &Tile<'_>, whole: u64) {
    let Tile {
        node,
        depth,
        start,
        width,
    } = each;
    let (y, height) = ((depth * ROW).to_string(), (ROW - 1).to_string());
    let (x, part) = (percent(*start), percent(*width));
    let bytes = node.bytes.to_string();
    let depth = depth.to_string();
    let (start, wide) = (format!("{start:.6}"), format!("{width:.6}"));
    let attributes = [
        ("class", node.kind.class()),
        ("x", x.as_str()),
        ("y", &y),
        ("width", &part),
        ("height", &height),
        ("data-x", &start),
        ("data-w", &wide),
        ("data-d", &depth),
        ("data-b", &bytes),
    ];
    writer.within("svg", &attributes, |writer| {
        let share = 100.0 * node.bytes as f64 / whole as f64;
        let title = format!("{}: {}, {share:.1}%", node.title, Bytes(node.bytes));
        writer.element("title", &[], &title);
        writer.empty("rect", &[("width", "100%"), ("height", "100%")]);
        let class = if *width < MIN_LABEL { "narrow" } else { "" };
        let place = [("x", "4"), ("y", "14"), ("class", class)];
        writer.element("text", &place, &node.label);
    });
}
