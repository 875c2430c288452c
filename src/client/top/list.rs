//! Which lines the list has, and in which order: filtered, sorted, and if wished as a tree by unit.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::Listed;
use super::column::{Column, summed};
use super::entry::{Entry, Key};

/// How a list is arranged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arrangement {
    /// What it is sorted by.
    pub column: Column,
    /// Whether the largest is first.
    pub is_descending: bool,
    /// Words that each line must have.
    pub filter: String,
    /// Whether processes stand below their units.
    pub is_tree: bool,
    /// The units whose processes are not shown; `None` are those in no unit.
    pub folded: BTreeSet<Option<String>>,
}

impl Arrangement {
    /// The fastest growing first, all of them.
    pub fn new() -> Self {
        Self {
            column: Column::Growth,
            is_descending: true,
            filter: String::new(),
            is_tree: false,
            folded: BTreeSet::new(),
        }
    }

    /// Sorts by the next column of a view that one can sort by, or by the one before.
    pub fn sort_by_next(&mut self, listed: Listed, is_forward: bool) {
        let columns: Vec<_> = Column::of(listed)
            .iter()
            .filter(|column| column.is_sortable())
            .collect();
        let here = columns.iter().position(|&&column| column == self.column);
        let next = match (here, is_forward) {
            (Some(here), true) => (here + 1) % columns.len(),
            (Some(here), false) => (here + columns.len() - 1) % columns.len(),
            (None, _) => 0,
        };
        if let Some(&&column) = columns.get(next) {
            self.column = column;
            self.is_descending = column.begins_with_largest();
        }
    }

    /// The order of two processes.
    fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        let order = self.column.compare(a, b);
        let order = match self.is_descending {
            true => order.reverse(),
            false => order,
        };
        // Those that are alike stay where they are.
        order.then(a.pid.cmp(&b.pid))
    }

    /// Whether a process has every word of the filter in its name, unit or user, or as its number.
    fn lets_through(&self, entry: &Entry) -> bool {
        let texts = [Some(&entry.comm), entry.unit.as_ref(), Some(&entry.user)];
        let texts: Vec<_> = texts
            .into_iter()
            .flatten()
            .map(|s| s.to_lowercase())
            .collect();
        let pid = entry.pid.to_string();
        let filter = self.filter.to_lowercase();
        filter
            .split_whitespace()
            .all(|word| word == pid || texts.iter().any(|text| text.contains(word)))
    }
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Row<'a> {
    /// A unit, with its processes added up.
    Unit {
        /// What they come to.
        all: Box<Entry>,
        /// How many they are.
        processes: usize,
        /// Whether they are not shown.
        is_folded: bool,
    },
    /// A process.
    Process {
        /// Which.
        entry: &'a Entry,
        /// Whether it stands below its unit, and is the last one there.
        within: Option<bool>,
    },
}

/// What a line is found again by.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Selected {
    /// A process.
    Process(Key),
    /// A unit; `None` are those in no unit.
    Unit(Option<String>),
}

impl Row<'_> {
    /// What it is found again by.
    pub fn selected(&self) -> Selected {
        match self {
            Self::Unit { all, .. } => Selected::Unit(all.unit.clone()),
            Self::Process { entry, .. } => Selected::Process(entry.key()),
        }
    }

    /// Whether it is the one that was found by that.
    pub fn is(&self, selected: &Selected) -> bool {
        match (self, selected) {
            (Self::Unit { all, .. }, Selected::Unit(unit)) => all.unit == *unit,
            (Self::Process { entry, .. }, Selected::Process(key)) => entry.is(*key),
            _ => false,
        }
    }
}

/// The lines of a list.
pub(super) fn rows<'a>(entries: &'a [Entry], arrangement: &Arrangement) -> Vec<Row<'a>> {
    let mut shown: Vec<&Entry> = entries
        .iter()
        .filter(|entry| arrangement.lets_through(entry))
        .collect();
    shown.sort_by(|a, b| arrangement.compare(a, b));
    let process = |entry, within| Row::Process { entry, within };
    if !arrangement.is_tree {
        return shown
            .into_iter()
            .map(|entry| process(entry, None))
            .collect();
    }
    let units: BTreeSet<_> = shown.iter().map(|entry| entry.unit.as_deref()).collect();
    let mut units: Vec<_> = units
        .into_iter()
        .map(|unit| {
            let of: Vec<&Entry> = shown
                .iter()
                .filter(|entry| entry.unit.as_deref() == unit)
                .copied()
                .collect();
            (summed(unit, of.iter().copied()), of)
        })
        .collect();
    // By name or number, units have no order of their own but that of their first process.
    let first = |of: &[&'a Entry]| of.first().copied();
    units.sort_by(
        |(a, of_a), (b, of_b)| match (arrangement.column, first(of_a), first(of_b)) {
            (
                Column::Pid | Column::Name | Column::User | Column::Cause | Column::Seen,
                Some(a),
                Some(b),
            ) => arrangement.compare(a, b),
            _ => arrangement.compare(a, b),
        },
    );
    let mut rows = Vec::new();
    for (all, of) in units {
        let is_folded = arrangement.folded.contains(&all.unit);
        rows.push(Row::Unit {
            all: Box::new(all),
            processes: of.len(),
            is_folded,
        });
        if !is_folded {
            let last = of.len().saturating_sub(1);
            let of = of.into_iter().enumerate();
            rows.extend(of.map(|(index, entry)| process(entry, Some(index == last))));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::top::entry::tests::entry;

    fn entries() -> Vec<Entry> {
        vec![
            entry(7, "postgres", 3.0, Some("db.service")),
            entry(8, "nginx", 9.0, Some("web.service")),
            entry(70, "Worker", 5.0, Some("db.service")),
            Entry {
                user: "alice".to_owned(),
                ..entry(9, "bash", 1.0, None)
            },
        ]
    }

    fn pids(entries: &[Entry], arrangement: &Arrangement) -> Vec<u32> {
        let rows = rows(entries, arrangement);
        rows.iter()
            .map(|row| match row {
                Row::Unit { .. } => 0,
                Row::Process { entry, .. } => entry.pid,
            })
            .collect()
    }

    #[test]
    fn a_filter_has_words_of_name_unit_user_or_the_number() {
        for (filter, expected) in [
            ("", &[8, 70, 7, 9][..]),
            ("POST", &[7]),
            ("db", &[70, 7]),
            ("db work", &[70]),
            ("alice", &[9]),
            ("7", &[7]),
            ("70", &[70]),
            ("  ", &[8, 70, 7, 9]),
            ("nothing", &[]),
        ] {
            let arrangement = Arrangement {
                filter: filter.to_owned(),
                ..Arrangement::new()
            };
            assert_eq!(pids(&entries(), &arrangement), expected, "{filter:?}");
        }
    }

    #[test]
    fn it_is_sorted_by_what_is_chosen() {
        for (column, is_descending, expected) in [
            (Column::Growth, true, [8, 70, 7, 9]),
            (Column::Growth, false, [9, 7, 70, 8]),
            (Column::Name, false, [9, 8, 7, 70]),
            (Column::Pid, false, [7, 8, 9, 70]),
            (Column::Unit, false, [7, 70, 8, 9]),
            // All alike.
            (Column::Size, true, [7, 8, 9, 70]),
        ] {
            let arrangement = Arrangement {
                column,
                is_descending,
                ..Arrangement::new()
            };
            assert_eq!(pids(&entries(), &arrangement), expected, "{column:?}");
        }
    }

    #[test]
    fn a_tree_has_units_by_what_they_come_to_and_folds() {
        let mut arrangement = Arrangement {
            is_tree: true,
            ..Arrangement::new()
        };
        // 9 of the web, 3 + 5 of the database, 1 in no unit.
        assert_eq!(pids(&entries(), &arrangement), [0, 8, 0, 70, 7, 0, 9]);
        arrangement.folded.insert(Some("db.service".to_owned()));
        arrangement.folded.insert(None);
        assert_eq!(pids(&entries(), &arrangement), [0, 8, 0, 0]);
        let entries = entries();
        let rows = rows(&entries, &arrangement);
        let Row::Unit { all, processes, .. } = &rows[2] else {
            panic!("{rows:?}");
        };
        assert_eq!((all.growth, *processes), (Some(8.0), 2));
        assert!(rows[2].is(&rows[2].selected()) && !rows[2].is(&rows[3].selected()));
    }

    #[test]
    fn one_goes_through_all_columns_and_comes_back() {
        for listed in [Listed::Pages, Listed::Heap, Listed::Kernel] {
            let mut arrangement = Arrangement::new();
            let n_sortable = Column::of(listed)
                .iter()
                .filter(|c| c.is_sortable())
                .count();
            for is_forward in [true, false] {
                for step in 1..=n_sortable {
                    arrangement.sort_by_next(listed, is_forward);
                    let is_back = arrangement.column == Column::Growth;
                    assert_eq!(is_back, step == n_sortable, "{:?}", arrangement.column);
                }
            }
        }
    }
}
