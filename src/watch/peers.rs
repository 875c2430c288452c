//! What the other processes of the same program do: known from samples, without a look at /proc.

use std::collections::HashMap;

use super::Tracked;
use crate::detect::Growth;
use crate::sample::{Moment, Sample};

/// So many processes of a program are compared at the most.
const MAX_PEERS: usize = 200;
/// Processes whose age or size differs by no more than this factor are alike,
const ALIKE: f64 = 2.0;
/// and those whose sizes differ by no more than so many bytes.
const SAME_SIZE: u64 = 4 << 20;
/// Where another grows at this part of the rate, one does not grow alone.
const ALONE: f64 = 1.0 / 8.0;
/// One among fewer that grows alone says nothing.
const LEAST_FOR_OUTLIER: usize = 4;
/// So many that grow alike, and half of all, are the program's own way,
const LEAST_FOR_PATTERN: usize = 3;
/// and no chance: this part of the time is enough.
const PATTERN: f64 = 0.7;

/// How a leaking process compares with the others of its program. By default, nothing is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peers {
    /// How many are like it in age and size, or grow alike, itself included.
    pub n: usize,
    /// How many of them grow alike: one is a process that grows alone among others like it.
    pub n_growing: usize,
}

/// What a growing process and those like it come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Company {
    pub peers: Peers,
    /// What they grow by together, if there are several.
    pub together: Option<Growth>,
    /// What their number makes of the time that growth must last.
    pub patience: f64,
}

/// The processes of each program that has grown, for one round.
#[derive(Debug, Default)]
pub(super) struct Programs(Option<HashMap<Kin, Vec<u32>>>);

/// What processes of one program have in common, as far as a scan tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kin {
    cgroup_id: u64,
    uid: u32,
    comm: [u8; 16],
}

/// How a process compares with one that grows.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Peer {
    is_like: bool,
    growth: Option<Growth>,
}

impl Kin {
    /// Without a cgroup, nothing holds processes together.
    fn of(sample: &Sample) -> Option<Self> {
        (sample.cgroup_id != 0).then_some(Self {
            cgroup_id: sample.cgroup_id,
            uid: sample.uid,
            comm: sample.comm.0,
        })
    }
}

impl Programs {
    /// Forgets those of the last round.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// Whether nobody has asked in this round.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What a process that grows so comes to with the others of its program. The first to ask in a
    /// round has all processes gone through, once.
    pub fn company(
        &mut self,
        now: &Moment,
        processes: &HashMap<u32, Tracked>,
        pid: u32,
        growth: &Growth,
    ) -> Option<Company> {
        let tracked = processes.get(&pid)?;
        let kin = Kin::of(&tracked.sample)?;
        let programs = self.0.get_or_insert_with(|| of_grown(processes));
        let others = programs.get(&kin)?.iter().filter(|other| **other != pid);
        let others = others.filter_map(|other| processes.get(other));
        let peers = others.take(MAX_PEERS - 1).map(|other| Peer {
            is_like: is_like(now, tracked, growth, other),
            growth: other
                .known
                .as_ref()
                .and_then(|known| known.shared.believed(now)),
        });
        Some(company(growth, peers))
    }
}

/// The processes of the programs of which one has grown, in order.
fn of_grown(processes: &HashMap<u32, Tracked>) -> HashMap<Kin, Vec<u32>> {
    let grown = processes.values().filter(|tracked| tracked.known.is_some());
    let mut programs: HashMap<Kin, Vec<u32>> = grown
        .filter_map(|tracked| Kin::of(&tracked.sample))
        .map(|kin| (kin, Vec::new()))
        .collect();
    for (pid, tracked) in processes {
        if let Some(pids) = Kin::of(&tracked.sample).and_then(|kin| programs.get_mut(&kin)) {
            pids.push(*pid);
        }
    }
    programs.values_mut().for_each(|pids| pids.sort_unstable());
    programs
}

/// Whether another is about as old as a process that has grown, and as large as that was before.
fn is_like(now: &Moment, tracked: &Tracked, growth: &Growth, other: &Tracked) -> bool {
    let is_near = |a: f64, b: f64| a <= ALIKE * b && b <= ALIKE * a;
    let base_bytes = tracked
        .sample
        .bytes
        .saturating_sub(growth.gained_bytes as u64);
    is_near(tracked.age_secs(now), other.age_secs(now))
        && (is_near(base_bytes as f64, other.sample.bytes as f64)
            || base_bytes.abs_diff(other.sample.bytes) <= SAME_SIZE)
}

fn company(growth: &Growth, peers: impl Iterator<Item = Peer>) -> Company {
    let mut together = *growth;
    let (mut n, mut n_alike, mut is_alone) = (1, 1, true);
    for peer in peers {
        let alike = peer.growth.filter(|other| growth.is_like(other));
        n += usize::from(peer.is_like || alike.is_some());
        if let Some(other) = alike {
            n_alike += 1;
            together = together.and(&other);
        }
        let rate = peer.growth.map_or(0.0, |other| other.bytes_per_sec.median);
        is_alone &= rate < ALONE * growth.bytes_per_sec.median;
    }
    let is_outlier = is_alone && n >= LEAST_FOR_OUTLIER;
    let is_pattern = n_alike >= LEAST_FOR_PATTERN && 2 * n_alike >= n;
    Company {
        peers: match n_alike > 1 || is_outlier {
            true => Peers {
                n,
                n_growing: n_alike,
            },
            false => Peers::default(),
        },
        together: (n_alike > 1).then_some(together),
        patience: if is_pattern { PATTERN } else { 1.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Lane, Slope};

    fn growth(rate: f64) -> Growth {
        Growth {
            lane: Lane::Slow,
            before: crate::detect::Before::Calm,
            gained_bytes: rate * 3600.0,
            secs: 3600.0,
            lasted_secs: 3600.0,
            bytes_per_sec: Slope {
                median: rate,
                low: rate,
                high: rate,
            },
        }
    }

    #[test]
    fn what_grows_alike_is_told_from_what_grows_alone() {
        // Of others: those like it that grow at these rates, those that do not grow, those that
        // are not like it. How many are named, grow, and what that makes of patience.
        for (name, rates, n_level, n_unlike, n, n_growing, patience) in [
            ("alone in its cgroup", &[][..], 0, 0, 0, 0, 1.0),
            ("an outlier", &[], 7, 0, 8, 1, 1.0),
            ("an outlier of four", &[], 3, 9, 4, 1, 1.0),
            ("alone of three", &[], 2, 0, 0, 0, 1.0),
            ("none is like it", &[], 0, 9, 0, 0, 1.0),
            ("another grows slowly", &[20.0], 7, 0, 0, 0, 1.0),
            ("another hardly grows", &[10.0], 7, 0, 9, 1, 1.0),
            ("two grow alike", &[120.0], 0, 0, 2, 2, 1.0),
            ("two of many", &[120.0], 6, 0, 8, 2, 1.0),
            ("three of six", &[120.0, 60.0], 3, 0, 6, 3, 0.7),
            ("three of seven", &[120.0, 60.0], 4, 0, 7, 3, 1.0),
            ("all", &[100.0; 7], 0, 0, 8, 8, 0.7),
            ("all but the master", &[100.0; 7], 0, 1, 8, 8, 0.7),
        ] {
            let growing = rates.iter().map(|rate| (true, Some(growth(*rate))));
            let level = (0..n_level).map(|_| (true, None));
            let unlike = (0..n_unlike).map(|_| (false, None));
            let peers = growing.chain(level).chain(unlike);
            let found = company(
                &growth(100.0),
                peers.map(|(is_like, growth)| Peer { is_like, growth }),
            );
            assert_eq!(found.peers, Peers { n, n_growing }, "{name}");
            assert_eq!(found.patience, patience, "{name}");
            let sum = found.together.map(|together| together.bytes_per_sec.low);
            let alike = rates.iter().filter(|rate| **rate >= 50.0);
            let expected = 100.0 + alike.sum::<f64>();
            assert_eq!(sum, (expected > 100.0).then_some(expected), "{name}");
        }
    }

    #[test]
    fn what_grows_alike_counts_whatever_its_size() {
        let peer = Peer {
            is_like: false,
            growth: Some(growth(100.0)),
        };
        let found = company(&growth(100.0), [peer; 3].into_iter());
        assert_eq!(found.peers, Peers { n: 4, n_growing: 4 });
    }
}
