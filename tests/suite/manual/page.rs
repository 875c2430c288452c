//! The source of a manual page, mdoc(7), as far as tests look into it.

use std::fs;
use std::path::{Path, PathBuf};

/// All pages that are shipped.
pub fn pages() -> Vec<PathBuf> {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/usr/share/man");
    let entries = |directory: &Path| {
        let entries = fs::read_dir(directory).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path())
    };
    let mut pages: Vec<_> = entries(&manual)
        .flat_map(|section| entries(&section))
        .collect();
    pages.sort();
    assert!(pages.len() >= 7, "{pages:?}");
    pages
}

/// A page.
pub struct Page {
    text: String,
}

/// One item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The section that it is in.
    pub section: String,
    /// The subsection; empty before the first one.
    pub subsection: String,
    /// The item that its list is in, as `line` of that.
    pub parent: Option<String>,
    /// What follows `.It`.
    pub line: String,
    /// All lines up to the next item of its list, those of lists in it as well.
    pub body: String,
}

impl Item {
    /// The words of its body, without macros and what stands around them.
    pub fn words(&self) -> Vec<&str> {
        let words = self.body.split_whitespace();
        let around = |c: char| ".,;:()\"".contains(c);
        words.map(|word| word.trim_matches(around)).collect()
    }
}

impl Page {
    /// The page of a name such as `memleakd.8`.
    pub fn named(name: &str) -> Self {
        let path = pages().into_iter().find(|path| path.ends_with(name));
        Self::read(&path.unwrap_or_else(|| panic!("no page {name}")))
    }

    /// The page in a file. What is quoted for groff is as it is shown.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a page");
        let text = text.replace("\\(dq", "\"").replace("\\e", "\\");
        Self { text }
    }

    /// Its source.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of its sections.
    pub fn sections(&self) -> Vec<&str> {
        let lines = self.text.lines();
        lines.filter_map(|line| line.strip_prefix(".Sh ")).collect()
    }

    /// The pages that it names, with their sections.
    pub fn references(&self) -> Vec<(String, String)> {
        let lines = self.text.lines();
        let references = lines.filter_map(|line| line.strip_prefix(".Xr "));
        references
            .map(|line| {
                let mut words = line.split(' ').map(str::to_owned);
                let mut word = || words.next().unwrap_or_else(|| panic!("{line}"));
                (word(), word())
            })
            .collect()
    }

    /// What is shown as it stands: blocks and lines of their own.
    pub fn examples(&self) -> Vec<String> {
        let mut examples = Vec::new();
        let mut block: Option<String> = None;
        for line in self.text.lines() {
            match (&mut block, line) {
                (Some(_), ".Ed") => examples.extend(block.take()),
                (Some(block), line) => *block += &format!("{line}\n"),
                (None, line) if line.starts_with(".Bd -literal") => block = Some(String::new()),
                (None, line) => examples.extend(line.strip_prefix(".Dl ").map(str::to_owned)),
            }
        }
        examples
    }

    /// Every item of every list, an outer one before those in it.
    pub fn items(&self) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::new();
        // Of each list that is open, the last item.
        let mut open: Vec<Option<usize>> = Vec::new();
        let (mut section, mut subsection) = (String::new(), String::new());
        for line in self.text.lines() {
            if let Some(name) = line.strip_prefix(".Sh ") {
                (section, subsection) = (name.to_owned(), String::new());
            } else if let Some(name) = line.strip_prefix(".Ss ") {
                subsection = name.to_owned();
            } else if line == ".El" {
                open.pop().expect("a list");
            } else if line.starts_with(".Bl ") {
                open.push(None);
            } else if let Some(head) = line.strip_prefix(".It") {
                let parents = &open[..open.len() - 1];
                let parent = parents.iter().rev().find_map(|item| *item);
                *open.last_mut().expect("a list") = Some(items.len());
                items.push(Item {
                    section: section.clone(),
                    subsection: subsection.clone(),
                    parent: parent.map(|parent| items[parent].line.clone()),
                    line: head.trim().to_owned(),
                    body: String::new(),
                });
            }
            for item in open.iter().flatten() {
                items[*item].body += &format!("{line}\n");
            }
        }
        items
    }

    /// The items of a section.
    pub fn items_of(&self, section: &str) -> Vec<Item> {
        let items = self.items().into_iter();
        items.filter(|item| item.section == section).collect()
    }
}
