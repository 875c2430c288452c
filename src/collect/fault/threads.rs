//! The threads of a process.

use std::collections::BTreeSet;
use std::{fs, io};

use crate::collect::Host;

/// Threads that are looked at: each costs a file descriptor, and few programs have more.
pub(super) const MAX_THREADS: usize = 512;

/// The threads that a process has at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Threads {
    pub(super) ids: BTreeSet<i32>,
    /// How many there are beyond those.
    pub(super) n_over: usize,
}

impl Threads {
    pub(super) fn of(host: &Host, pid: u32) -> io::Result<Self> {
        let mut threads = Self::default();
        for entry in fs::read_dir(host.path_of_process(pid, "task"))? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            match threads.ids.len() {
                MAX_THREADS => threads.n_over += 1,
                _ => _ = threads.ids.insert(id),
            }
        }
        Ok(threads)
    }

    /// How many of these there were not before.
    pub(super) fn n_not_in(&self, before: &Self) -> usize {
        self.ids.difference(&before.ids).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tree::Tree;

    #[test]
    fn the_first_ones_are_looked_at() {
        for (n, n_over) in [(1, 0), (MAX_THREADS, 0), (MAX_THREADS + 3, 3)] {
            let mut tree = Tree::new().file("proc/7/task/x/comm", "");
            for id in 0..n {
                tree = tree.file(format!("proc/7/task/{}/comm", 7 + id), "");
            }
            let threads = Threads::of(&tree.host(), 7).expect("a directory");
            assert_eq!((threads.ids.len(), threads.n_over), (n - n_over, n_over));
            assert_eq!(threads.n_not_in(&threads), 0);
            assert_eq!(threads.n_not_in(&Threads::default()), n - n_over);
        }
        assert!(Threads::of(&Tree::new().host(), 7).is_err());
    }
}
