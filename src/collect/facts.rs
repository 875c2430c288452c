//! What is known of a process beyond its memory: looked up once, when it becomes interesting.

use std::io;
use std::os::unix::ffi::OsStrExt;

use super::cgroup::Membership;
use super::container::container;
use super::unit::{system_unit, user_unit};
use super::{Host, MemoryCgroup, field};
use crate::sample::{ProcessId, printable};

/// A process's program, place and limits. Names are harmless, see [`printable`].
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Facts {
    /// Path of its executable, as the process itself sees it; none for a kernel thread.
    pub exe: Option<String>,
    /// Whether that file has been deleted or replaced since, as by an upgrade.
    pub exe_deleted: bool,
    /// The system unit.
    pub unit: Option<String>,
    /// The unit in a user's own service manager.
    pub user_unit: Option<String>,
    /// Id or name of the container, in full.
    pub container: Option<String>,
    /// Path in the cgroup hierarchy, version 2 if it is used there; empty if unknown.
    pub cgroup: String,
    /// The cgroup whose memory limits bind it; none where it cannot be seen.
    pub memory_cgroup: Option<MemoryCgroup>,
    /// Name of its user on this host.
    pub user: Option<String>,
    /// Soft limit of its address space, in bytes; none if unlimited.
    pub rlimit_as_bytes: Option<u64>,
    /// Soft limit of its data, in bytes; none if unlimited.
    pub rlimit_data_bytes: Option<u64>,
}

impl Host {
    /// Looks up a process; what cannot be read stays unknown.
    ///
    /// Fails with `NotFound` if the process has ended, or if its number belongs to another one by
    /// now; the latter cannot be told if the start time is 0.
    pub fn facts(&self, process: ProcessId, uid: u32) -> io::Result<Facts> {
        let pid = process.pid;
        let cgroups = self.read_of_process(pid, "cgroup").unwrap_or_default();
        let limits = self.read_of_process(pid, "limits").unwrap_or_default();
        let membership = Membership::parse(&cgroups);
        let cgroup = printable(membership.path());
        let (exe, exe_deleted) = self.exe(pid);
        let facts = Facts {
            exe,
            exe_deleted,
            unit: system_unit(&cgroup).map(ToOwned::to_owned),
            user_unit: user_unit(&cgroup).map(ToOwned::to_owned),
            container: container(&cgroup),
            memory_cgroup: MemoryCgroup::find(self, &membership),
            user: self.user(uid),
            rlimit_as_bytes: field::soft_limit(&limits, "Max address space"),
            rlimit_data_bytes: field::soft_limit(&limits, "Max data size"),
            cgroup,
        };
        // Asked last: a process that has its number still has had it all the while.
        let start_time_ticks = self.start_time_ticks(pid)?;
        let expected = process.start_time_ticks();
        if expected != 0 && start_time_ticks != expected {
            let message = "another process has that pid now";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(facts)
    }

    fn exe(&self, pid: u32) -> (Option<String>, bool) {
        let Ok(path) = self.read_link_of_process(pid, "exe") else {
            return (None, false);
        };
        let path = path.as_os_str().as_bytes();
        match path.strip_suffix(b" (deleted)") {
            Some(path) => (Some(printable(path)), true),
            None => (Some(printable(path)), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::io::ErrorKind::{InvalidData, NotFound};

    use proptest::prelude::*;

    use super::*;
    use crate::collect::tree::Tree;

    const ID: &str = "9687bac58d5c4d1606aa46af33d1a21c1d1652e0ac9fb3fc0fc86e3495f42869";
    const PROCESS: ProcessId = ProcessId {
        pid: 7,
        start_time_ns: 1_234_567_890,
    };
    const UNLIMITED: &str =
        "Max data size             unlimited            unlimited            bytes\n";

    /// A host with one process.
    fn tree() -> Tree {
        Tree::new().process(7, "leaky", 123)
    }

    #[test]
    fn everything_is_found() {
        let host = tree()
            .link("proc/7/exe", "/usr/bin/leaky")
            .file("proc/7/cgroup", "0::/system.slice/leaky.service\n")
            .file("sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
            .file("etc/passwd", "root:x:0:0::/:\nleaky:x:105:1::/:\n")
            .file(
                "proc/7/limits",
                "Max data size             1048576              unlimited            bytes\n\
                 Max address space         2097152              unlimited            bytes\n",
            )
            .host();
        let membership = Membership::parse(b"0::/system.slice/leaky.service\n");
        let expected = Facts {
            exe: Some("/usr/bin/leaky".into()),
            exe_deleted: false,
            unit: Some("leaky.service".into()),
            user_unit: None,
            container: None,
            cgroup: "/system.slice/leaky.service".into(),
            memory_cgroup: MemoryCgroup::find(&host, &membership),
            user: Some("leaky".into()),
            rlimit_as_bytes: Some(2 << 20),
            rlimit_data_bytes: Some(1 << 20),
        };
        assert!(expected.memory_cgroup.is_some());
        assert_eq!(host.facts(PROCESS, 105).expect("a process"), expected);
    }

    #[test]
    fn nothing_is_made_up() {
        let host = tree().file("proc/7/limits", UNLIMITED).host();
        assert_eq!(
            host.facts(PROCESS, 105).expect("a process"),
            Facts::default()
        );
    }

    #[test]
    fn every_layout_is_understood() {
        let user = "/user.slice/user-1000.slice/user@1000.service";
        // Lines of /proc/PID/cgroup, system unit, user unit, container.
        let table = "
            0::/system.slice/a.service                           | a.service               |                 |
            0::USER/app.slice/b.service                          | user@1000.service       | b.service       |
            0::/user.slice/user-1000.slice/session-3.scope       | session-3.scope         |                 |
            0::/system.slice/docker-ID.scope                     | docker-ID.scope         |                 | ID
            0::/docker/ID                                        |                         |                 | ID
            0::/kubepods.slice/kubepods-pod1.slice/crio-ID.scope | crio-ID.scope           |                 | ID
            0::/kubepods/burstable/pod1/ID                       |                         |                 | ID
            0::USER/user.slice/libpod-ID.scope/container         | user@1000.service       | libpod-ID.scope | ID
            0::/system.slice/a.service/libpod-payload-ID         | a.service               |                 | ID
            0::/lxc.payload.w/system.slice/a.service             |                         |                 | w
            0::/machine.slice/systemd-nspawn@w.service/payload   | systemd-nspawn@w.service |                | w
            0::/machine.slice/machine-w.scope/payload            | machine-w.scope         |                 | w
            4:memory:/m;1:name=systemd:/system.slice/a.service   | a.service               |                 |
            4:memory:/docker/ID;1:name=systemd:/docker/ID        |                         |                 | ID
            4:memory:/docker/ID;1:cpu:/docker/ID                 |                         |                 | ID
            1:name=systemd:/x;0::/system.slice/a.service         | a.service               |                 |
            1:name=systemd:/system.slice/a.service;0::/          | a.service               |                 |
            0::/                                                 |                         |                 |
            4:memory:/;1:name=systemd:/;0::/                     |                         |                 |
            0::/../..                                            |                         |                 |";
        let table = table.replace("ID", ID).replace("USER", user);
        for line in table.lines().skip(1) {
            let columns: Vec<_> = line.split('|').map(str::trim).collect();
            let cgroups = columns[0].replace(';', "\n") + "\n";
            let host = tree().file("proc/7/cgroup", cgroups).host();
            let facts = host.facts(PROCESS, 0).expect("a process");
            let found =
                [facts.unit, facts.user_unit, facts.container].map(Option::unwrap_or_default);
            assert_eq!(found[..], columns[1..], "{line}");
        }
    }

    #[test]
    fn cgroup_is_made_harmless_to_show_but_not_to_open() {
        let host = tree()
            .file("proc/7/cgroup", b"0::/a\x1b[2J\xff\n")
            .file(
                OsStr::from_bytes(b"sys/fs/cgroup/unified/a\x1b[2J\xff/memory.max"),
                "4096\n",
            )
            .file(
                OsStr::from_bytes(b"sys/fs/cgroup/unified/a\x1b[2J\xff/memory.current"),
                "0\n",
            )
            .host();
        let facts = host.facts(PROCESS, 0).expect("a process");
        assert_eq!(facts.cgroup, "/a\\u{1b}[2J\u{fffd}");
        let headroom = host.headroom(&facts, 0, 7).expect("a limit");
        assert_eq!(headroom.limit_bytes, 4096);
    }

    #[test]
    fn executable_may_be_gone_and_is_made_harmless() {
        for (target, exe, deleted) in [
            ("/usr/bin/leaky", "/usr/bin/leaky", false),
            ("/usr/bin/leaky (deleted)", "/usr/bin/leaky", true),
            ("/tmp/a\nb\u{202e}", "/tmp/a\\u{a}b\\u{202e}", false),
        ] {
            let host = tree().link("proc/7/exe", target).host();
            let facts = host.facts(PROCESS, 0).expect("a process");
            assert_eq!(facts.exe.as_deref(), Some(exe));
            assert_eq!(facts.exe_deleted, deleted);
        }
    }

    #[test]
    fn another_process_is_not_mistaken_for_it() {
        let error_of = |host: &Host, start_time_ns| {
            let process = ProcessId {
                pid: 7,
                start_time_ns,
            };
            host.facts(process, 0)
                .map_err(|error| (error.kind(), error.to_string()))
                .err()
        };
        let host = tree().host();
        for start_time_ns in [1_230_000_000, 1_239_999_999, 0] {
            assert_eq!(error_of(&host, start_time_ns), None, "{start_time_ns}");
        }
        for start_time_ns in [1_229_999_999, 1_240_000_000, u64::MAX] {
            let expected = (NotFound, "another process has that pid now".to_owned());
            assert_eq!(
                error_of(&host, start_time_ns),
                Some(expected),
                "{start_time_ns}"
            );
        }
        let (kind, _) = error_of(&Tree::new().host(), 0).expect("no process");
        assert_eq!(kind, NotFound);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_content_of_any_file_does_harm(
            files in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 8),
        ) {
            let names = ["cgroup", "limits", "status", "smaps_rollup"].map(|name| format!("proc/7/{name}"));
            let others = ["etc/passwd", "proc/meminfo", "sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.stat"];
            let names = names.iter().map(String::as_str).chain(others);
            let tree = names.zip(&files).fold(tree(), |tree, (name, bytes)| tree.file(name, bytes));
            let host = tree.host();
            let facts = host.facts(PROCESS, 0).expect("a process");
            host.headroom(&facts, 0, 7);
            let names = [Some(facts.cgroup), facts.container, facts.user].map(Option::unwrap_or_default);
            prop_assert!(!names.concat().contains(char::is_control));
            if let Err(error) = host.resident_exact(7) {
                prop_assert!([NotFound, InvalidData].contains(&error.kind()), "{}", error);
            }
        }
    }
}
