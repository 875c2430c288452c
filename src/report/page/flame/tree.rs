//! Stacks that begin alike, put together. Pure.

use std::collections::HashMap;

use crate::report::Report;
use crate::report::folded::MAX_BYTES;
use crate::site::{Attribution, Frame, Site, words};

/// Characters of a function in its box.
const MAX_LABEL: usize = 80;
/// Frames of a stack, the innermost ones: as many as the daemon keeps. Whoever has written this report
/// may have more.
const MAX_FRAMES: usize = 256;
/// Characters of a function for who points at its box.
const MAX_TITLE: usize = 300;

/// A function, and those that it has called.
#[derive(Debug)]
pub(super) struct Node {
    /// In its box.
    pub label: String,
    /// For who points at it.
    pub title: String,
    /// Whose code it is.
    pub kind: Kind,
    /// What stays of what it and those below it have allocated.
    pub bytes: u64,
    /// The first is where most stays.
    pub children: Vec<Self>,
    /// Where each of them is, as long as they are put together.
    places: HashMap<(String, &'static str), usize>,
}

/// Whose code it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The program's.
    Own,
    /// A library's.
    Library,
    /// The kernel's.
    Kernel,
    /// Nobody knows.
    Nameless,
    /// No code at all.
    Note,
}

impl Kind {
    pub const ALL: [Self; 5] = [
        Self::Own,
        Self::Library,
        Self::Kernel,
        Self::Nameless,
        Self::Note,
    ];

    pub fn class(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Library => "library",
            Self::Kernel => "kernel",
            Self::Nameless => "nameless",
            Self::Note => "note",
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Own => "the program",
            Self::Library => "libraries",
            Self::Kernel => "the kernel",
            Self::Nameless => "without a name",
            Self::Note => "how it is known",
        }
    }
}

/// What stays, below the process. What has ended is left out if there is anything else.
pub(super) fn tree(report: &Report) -> Node {
    let process = format!("{} (pid {})", report.comm, report.pid);
    let mut root = Node::new(process.clone(), process, Kind::Note);
    for site in report.standing() {
        // More than one site can hold would be more than its box.
        let bytes = site.bytes.min(MAX_BYTES);
        root.bytes = root.bytes.saturating_add(bytes);
        let mut node = &mut root;
        for next in path(report, site) {
            node = node.child(next, bytes);
        }
    }
    root.sort();
    root
}

impl Node {
    fn new(label: String, title: String, kind: Kind) -> Self {
        Self {
            label,
            title,
            kind,
            bytes: 0,
            children: Vec::new(),
            places: HashMap::new(),
        }
    }

    fn child(&mut self, wanted: Self, bytes: u64) -> &mut Self {
        let key = (wanted.title.clone(), wanted.kind.class());
        let index = *self.places.entry(key).or_insert(self.children.len());
        if index == self.children.len() {
            self.children.push(wanted);
        }
        let child = &mut self.children[index];
        child.bytes = child.bytes.saturating_add(bytes);
        child
    }

    /// No deeper than a stack, which is bounded.
    fn sort(&mut self) {
        self.children
            .sort_by_key(|child| std::cmp::Reverse(child.bytes));
        self.children.iter_mut().for_each(Self::sort);
    }
}

/// From the outermost function inwards.
fn path(report: &Report, site: &Site) -> Vec<Node> {
    let note = |text: &str| Node::new(text.to_owned(), text.to_owned(), Kind::Note);
    let kind = match site.attribution {
        Attribution::Paired | Attribution::BySize => None,
        Attribution::Mapping => Some("mapped by itself"),
        Attribution::Touched => Some("touched for the first time"),
        Attribution::Kernel => Some("kernel memory"),
    };
    let is_cut = site.cut.is_some() || site.frames.len() > MAX_FRAMES;
    let cut = is_cut.then_some("callers are missing");
    let notes = [kind, cut].into_iter().flatten().map(note);
    let frames = site.frames.iter().take(MAX_FRAMES).rev();
    let frames = frames.map(|frame| of_frame(report, site.attribution, frame));
    notes.chain(frames).collect()
}

fn of_frame(report: &Report, attribution: Attribution, frame: &Frame) -> Node {
    let kind = match (&frame.function, attribution) {
        (_, Attribution::Kernel) => Kind::Kernel,
        (None, _) => Kind::Nameless,
        _ if frame.module.is_some() && frame.module == report.exe => Kind::Own,
        _ => Kind::Library,
    };
    let place = words::place(frame);
    match &frame.function {
        Some(function) => {
            let label = words::function(function, MAX_LABEL);
            let full = words::function(function, MAX_TITLE);
            let file = frame.file.as_deref().or(frame.module.as_deref());
            let title = match (file, frame.line.filter(|_| frame.file.is_some())) {
                (Some(file), Some(line)) => format!("{full} ({file}:{line})"),
                (Some(file), None) => format!("{full} ({file})"),
                (None, _) => full,
            };
            Node::new(label, title, kind)
        }
        None => Node::new(place.clone(), place, kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{capture, report, site};

    #[test]
    fn what_begins_alike_is_one_and_the_largest_is_first() {
        let found = report(vec![capture(
            0,
            vec![site(5, &[1, 8, 9]), site(7, &[2, 8, 9]), site(1, &[3, 9])],
        )]);
        let root = tree(&found);
        assert_eq!(
            (root.bytes, root.label.as_str()),
            (13, "postgres (pid 812)")
        );
        let names = |node: &Node| -> Vec<_> {
            let children = node.children.iter();
            children
                .map(|child| (child.label.clone(), child.bytes))
                .collect()
        };
        let named = |name: &str, bytes| (name.to_owned(), bytes);
        assert_eq!(names(&root), [named("f9", 13)]);
        assert_eq!(names(&root.children[0]), [named("f8", 12), named("f3", 1)]);
        let f8 = &root.children[0].children[0];
        assert_eq!(names(f8), [named("f2", 7), named("f1", 5)]);
        assert_eq!(f8.kind, Kind::Library);
    }
}
