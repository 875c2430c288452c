//! What will stop a process from growing first, and how far away that is.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cgroup::Version;
use super::{Facts, Host, field};

/// A limit, and what is left until it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    /// Which limit.
    pub kind: LimitKind,
    /// The limit, in bytes.
    pub limit_bytes: u64,
    /// What is left, in bytes.
    pub headroom_bytes: u64,
}

/// What bounds a process's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// `memory.max` of its cgroup or one above (`memory.limit_in_bytes` in cgroup v1).
    CgroupMax,
    /// `memory.high` of its cgroup or one above: throttled from there.
    CgroupHigh,
    /// RLIMIT_AS: address space.
    RlimitAs,
    /// RLIMIT_DATA: data segment and private writable mappings.
    RlimitData,
    /// Memory and swap of the host.
    Host,
    /// The limit that a recording gives.
    Recorded,
}

/// Where version 1 has no limit, it shows the largest whole number of pages.
const V1_UNLIMITED_BYTES: u64 = 1 << 62;

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CgroupMax => "memory.max of its cgroup",
            Self::CgroupHigh => "memory.high of its cgroup",
            Self::RlimitAs => "RLIMIT_AS",
            Self::RlimitData => "RLIMIT_DATA",
            Self::Host => "the host's memory and swap",
            Self::Recorded => "the recorded limit",
        })
    }
}

impl Host {
    /// The limit that has the least left, if any is known; of equals, the one nearest to the process.
    ///
    /// What the kernel could take back at once counts as left in a cgroup, so that a full page
    /// cache is no shortage. What it could swap out does not: who has to swap is in trouble.
    pub fn headroom(&self, facts: &Facts, virtual_bytes: u64, pid: u32) -> Option<Headroom> {
        let mut limits = Vec::new();
        if let Some(cgroup) = &facts.memory_cgroup {
            for directory in cgroup.directories() {
                match cgroup.version {
                    Version::V2 => limits.extend(self.limits_v2(&directory)),
                    Version::V1 => limits.extend(self.limit_v1(&directory)),
                }
            }
        }
        if let Some(limit) = facts.rlimit_as_bytes {
            limits.push(Headroom::new(LimitKind::RlimitAs, limit, virtual_bytes));
        }
        limits.extend(self.data_limit(facts, pid));
        limits.extend(self.host_limit());
        limits.into_iter().min_by_key(|limit| limit.headroom_bytes)
    }

    fn limits_v2(&self, directory: &Path) -> Vec<Headroom> {
        let files = [
            (LimitKind::CgroupMax, "memory.max"),
            (LimitKind::CgroupHigh, "memory.high"),
        ];
        let mut limits = files
            .into_iter()
            .filter_map(|(kind, file)| Some((kind, self.number(directory, file)?)))
            .peekable();
        // Most cgroups have no limit, and of those without one the usage need not be read.
        if limits.peek().is_none() {
            return Vec::new();
        }
        let reclaimable = ["inactive_file", "active_file", "slab_reclaimable"];
        let Some(used) = self.used_bytes(directory, "memory.current", &reclaimable) else {
            return Vec::new();
        };
        limits
            .map(|(kind, limit)| Headroom::new(kind, limit, used))
            .collect()
    }

    fn limit_v1(&self, directory: &Path) -> Option<Headroom> {
        let limit = self
            .number(directory, "memory.limit_in_bytes")
            .filter(|limit| *limit < V1_UNLIMITED_BYTES)?;
        let reclaimable = ["total_inactive_file", "total_active_file"];
        let used = self.used_bytes(directory, "memory.usage_in_bytes", &reclaimable)?;
        Some(Headroom::new(LimitKind::CgroupMax, limit, used))
    }

    fn data_limit(&self, facts: &Facts, pid: u32) -> Option<Headroom> {
        let limit = facts.rlimit_data_bytes?;
        let status = self.read_of_process(pid, "status").ok()?;
        let used = field::sized(&status, "VmData:")?;
        Some(Headroom::new(LimitKind::RlimitData, limit, used))
    }

    fn host_limit(&self) -> Option<Headroom> {
        let meminfo = self.read(Path::new("proc/meminfo")).ok()?;
        let bytes = |key| field::sized(&meminfo, key);
        Some(Headroom {
            kind: LimitKind::Host,
            limit_bytes: bytes("MemTotal:")?.saturating_add(bytes("SwapTotal:").unwrap_or(0)),
            headroom_bytes: bytes("MemAvailable:")?.saturating_add(bytes("SwapFree:").unwrap_or(0)),
        })
    }

    /// What a cgroup and those below it use and would not give back for the asking.
    fn used_bytes(&self, directory: &Path, usage: &str, reclaimable: &[&str]) -> Option<u64> {
        let usage = self.number(directory, usage)?;
        let stat = self
            .read(&directory.join("memory.stat"))
            .unwrap_or_default();
        // The files are not read at the same moment: the parts may add up to more than the whole.
        let parts = reclaimable
            .iter()
            .filter_map(|key| field::keyed(&stat, key));
        Some(parts.fold(usage, u64::saturating_sub))
    }

    fn number(&self, directory: &Path, file: &str) -> Option<u64> {
        field::number(&self.read(&directory.join(file)).ok()?)
    }
}

impl Headroom {
    fn new(kind: LimitKind, limit_bytes: u64, used_bytes: u64) -> Self {
        Self {
            kind,
            limit_bytes,
            headroom_bytes: limit_bytes.saturating_sub(used_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use LimitKind::{CgroupHigh, CgroupMax, Host as WholeHost, RlimitAs, RlimitData};

    use super::*;
    use crate::collect::tree::Tree;
    use crate::sample::ProcessId;

    const MIB: u64 = 1 << 20;

    /// Memory and swap of 8 GiB, of which 5 GiB are left.
    const MEMINFO: &str = "proc/meminfo MemTotal: 6144M kB, MemAvailable: 4096M kB, SwapTotal: 2048M kB, \
                           SwapFree: 1024M kB";
    const HOST: Option<(LimitKind, u64, u64)> = Some((WholeHost, 8192, 5120));

    /// The nearest limit of process 7, which has 300 MiB of address space: which it is, and of how
    /// many MiB how many are left.
    ///
    /// Each file is its path, a blank, and its lines with a comma between them. `5M` stands for
    /// the number in the file's own unit.
    fn nearest(files: &[&str]) -> Option<(LimitKind, u64, u64)> {
        let mut tree = Tree::new().process(7, "leaky", 123);
        for file in files {
            let (path, lines) = file.split_once(' ').expect("a path and a text");
            let unit = if lines.ends_with(" kB") { 1 << 10 } else { MIB };
            let spell = |word: &str| match word.strip_suffix('M').map(str::parse::<u64>) {
                Some(Ok(mib)) => (mib * unit).to_string(),
                _ => word.to_owned(),
            };
            let lines = lines
                .split(", ")
                .map(|line| line.split(' ').map(spell).collect::<Vec<_>>().join(" ") + "\n");
            tree = tree.file(path, lines.collect::<String>());
        }
        let host = tree.host();
        let process = ProcessId {
            pid: 7,
            start_time_ns: 0,
        };
        let facts = host.facts(process, 0).expect("a process");
        let nearest = host.headroom(&facts, 300 * MIB, 7)?;
        Some((
            nearest.kind,
            nearest.limit_bytes / MIB,
            nearest.headroom_bytes / MIB,
        ))
    }

    /// The same, of the cgroup `/a/b`, with paths below the mount point.
    fn nearest_in(mount: &str, cgroups: &str, files: &[&str]) -> Option<(LimitKind, u64, u64)> {
        let mut files: Vec<_> = files.iter().map(|file| format!("{mount}/{file}")).collect();
        files.push(format!("proc/7/cgroup {cgroups}"));
        files.push("sys/fs/cgroup/cgroup.controllers memory".to_owned());
        nearest(&files.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn the_nearest_cgroup_limit_of_all_levels_counts() {
        for (files, expected) in [
            (&[][..], None),
            (
                &[
                    "a/b/memory.max max",
                    "a/b/memory.high max",
                    "a/b/memory.current 1M",
                ],
                None,
            ),
            (
                &["a/b/memory.max 1024M", "a/b/memory.current 500M"],
                Some((CgroupMax, 1024, 524)),
            ),
            // An ancestor's is higher, and yet nearer.
            (
                &[
                    "a/b/memory.max 1024M",
                    "a/b/memory.current 500M",
                    "a/memory.max 2048M",
                    "a/memory.current 1948M",
                ],
                Some((CgroupMax, 2048, 100)),
            ),
            // In a cgroup namespace the top has limits, too.
            (
                &["memory.max 1024M", "memory.current 0"],
                Some((CgroupMax, 1024, 1024)),
            ),
            (
                &[
                    "a/b/memory.max 1024M",
                    "a/b/memory.high 900M",
                    "a/b/memory.current 500M",
                ],
                Some((CgroupHigh, 900, 400)),
            ),
            (
                &["a/b/memory.high 900M", "a/b/memory.current 950M"],
                Some((CgroupHigh, 900, 0)),
            ),
            (
                &[
                    "a/b/memory.max 900M",
                    "a/b/memory.high 900M",
                    "a/b/memory.current 0",
                ],
                Some((CgroupMax, 900, 900)),
            ),
            // Cache is given back.
            (
                &[
                    "a/b/memory.max 1024M",
                    "a/b/memory.current 1024M",
                    "a/b/memory.stat anon 7M, file 7M, inactive_file 100M, active_file 200M, slab_reclaimable 10M",
                ],
                Some((CgroupMax, 1024, 310)),
            ),
            (
                &[
                    "a/b/memory.max 1024M",
                    "a/b/memory.current 1M",
                    "a/b/memory.stat inactive_file 18446744073709551615, active_file 2",
                ],
                Some((CgroupMax, 1024, 1024)),
            ),
            (
                &["a/b/memory.max 0", "a/b/memory.current 1M"],
                Some((CgroupMax, 0, 0)),
            ),
            (&["a/b/memory.max 1024M"], None),
            (
                &[
                    "a/b/memory.max -1",
                    "a/memory.max 1024M",
                    "a/memory.current \0",
                ],
                None,
            ),
        ] {
            assert_eq!(
                nearest_in("sys/fs/cgroup", "0::/a/b", files),
                expected,
                "{files:?}"
            );
        }
    }

    #[test]
    fn cgroup_version_1_has_other_files() {
        let used = "a/memory.usage_in_bytes 1024M";
        let limit = "a/memory.limit_in_bytes 1024M";
        let stat =
            "a/memory.stat inactive_file 1M, total_inactive_file 100M, total_active_file 100M";
        for (cgroups, files, expected) in [
            (
                "4:memory:/a/b",
                &[used, limit][..],
                Some((CgroupMax, 1024, 0)),
            ),
            (
                "4:memory:/a, 0::/",
                &[used, limit, stat],
                Some((CgroupMax, 1024, 200)),
            ),
            (
                "4:memory:/a",
                &[used, "a/memory.limit_in_bytes 9223372036854771712"],
                None,
            ),
            ("4:memory:/../..", &[used, limit], None),
            ("0::/a", &[used, limit], None),
        ] {
            let nearest = nearest_in("sys/fs/cgroup/memory", cgroups, files);
            assert_eq!(nearest, expected, "{cgroups} {files:?}");
        }
    }

    #[test]
    fn limits_of_the_process_and_the_host_count_too() {
        let data = "Max data size             1024M                unlimited            bytes";
        let space = "Max address space         1024M                unlimited            bytes";
        let both = format!("proc/7/limits {data}, {space}");
        let [data, space] = [data, space].map(|limit| format!("proc/7/limits {limit}"));
        let hard = "proc/7/limits Max address space         unlimited            1024M                bytes";
        let used = "proc/7/status Name: leaky, VmData: 100M kB";
        let no_swap = "proc/meminfo MemTotal: 1024M kB, MemAvailable: 100M kB";
        for (files, expected) in [
            (&[][..], None),
            (&[MEMINFO], HOST),
            (&[MEMINFO, &space], Some((RlimitAs, 1024, 724))),
            (&[MEMINFO, &data, used], Some((RlimitData, 1024, 924))),
            (&[MEMINFO, &both, used], Some((RlimitAs, 1024, 724))),
            (&[MEMINFO, &data], HOST),
            (&[MEMINFO, hard], HOST),
            (&[no_swap, &space], Some((WholeHost, 1024, 100))),
            (&["proc/meminfo MemTotal: 1024M kB"], None),
            (&["proc/meminfo MemTotal: many, MemAvailable: 1M kB"], None),
        ] {
            assert_eq!(nearest(files), expected, "{files:?}");
        }
    }
}
