//! What is said of how a process is measured, and of what is not seen of it.

use super::{Subject, Tools};
use crate::collect::allocator::Method;
use crate::collect::heap::totals::Totals;
use crate::quantity::count;

/// Probes that have not been hit for so long are said to be silent.
const SILENT_SECS: f64 = 30.0;

impl Subject {
    /// What it allocates with, and how its sizes are known.
    pub(super) fn method(&self) -> String {
        let each = self.allocators.iter().filter_map(|allocator| {
            let how = match allocator.method {
                Method::Header => "by chunk headers",
                Method::Map => "by a table of pointers",
                Method::Mapping => return None,
            };
            Some(format!("{}, {how}", allocator.name))
        });
        each.collect::<Vec<_>>().join("; ")
    }

    /// What could not be seen, a phrase each.
    pub(super) fn loss(&self, tools: &Tools<'_>, sum: Totals, seen_secs: f64) -> Vec<String> {
        let mut loss = Vec::new();
        if sum.hits == 0 && seen_secs >= SILENT_SECS {
            loss.push(format!(
                "the probes in its allocator ({}) have not been hit in {seen_secs:.0} s",
                self.method()
            ));
        }
        let calls = |n: u64| count(n as usize, "call", "calls");
        if sum.lost_full > 0 {
            let lost = calls(sum.lost_full);
            loss.push(format!(
                "{lost} for which the table of pointers had no room"
            ));
        }
        if sum.lost_unreadable > 0 {
            let lost = calls(sum.lost_unreadable);
            loss.push(format!("{lost} with a chunk that could not be read"));
        }
        if sum.sampled > 0 {
            let sampled = calls(sum.sampled);
            loss.push(format!(
                "{sampled} that found the table of pointers rather full: a random few stand for them"
            ));
        }
        if self.is_by_pointer() && sum.unknown_frees > 0 {
            let lost = calls(sum.unknown_frees);
            loss.push(format!(
                "{lost} that freed what was allocated before it was looked{}: taken for as large as others",
                if self.has_new() { ", or by operator new" } else { "" }
            ));
        }
        if !tools.probes.is_exact() && !self.is_by_pointer() {
            loss.push(
                "what allocations got: as they are not followed to their return, what they asked for is counted".to_owned(),
            );
        }
        loss
    }
}
