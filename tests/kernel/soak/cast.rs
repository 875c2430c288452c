//! The programs that leak, each under a name of its own: so each is an alert of its own.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::stage::{Running, program};

#[derive(Default)]
pub struct Cast {
    directory: Option<TempDir>,
    on_stage: Vec<(String, Running)>,
    n_entered: usize,
}

impl Cast {
    /// So many more begin to leak.
    pub fn enter(&mut self, n: usize) {
        let directory = self
            .directory
            .get_or_insert_with(|| TempDir::new().expect("a directory"));
        for _ in 0..n {
            let name = format!("soak-{}", self.n_entered);
            let path = directory.path().join(&name);
            if self.n_entered == 0 {
                fs::copy(program("trickle"), &path).expect("a copy");
            } else {
                // The same file, to spare time, under a name that /proc tells all the same.
                fs::hard_link(directory.path().join("soak-0"), &path).expect("a link");
            }
            let running = Running::start(Command::new(&path).stdin(Stdio::null()));
            self.on_stage.push((name, running));
            self.n_entered += 1;
        }
    }

    /// At most so many end, the first ones first.
    pub fn leave(&mut self, n: usize) {
        self.on_stage.drain(..n.min(self.on_stage.len()));
    }

    pub fn names_on_stage(&self) -> Vec<String> {
        self.on_stage.iter().map(|(name, _)| name.clone()).collect()
    }

    /// All that there were.
    pub fn names(&self) -> Vec<String> {
        (0..self.n_entered).map(|n| format!("soak-{n}")).collect()
    }
}
