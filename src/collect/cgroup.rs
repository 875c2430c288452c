//! Where a process is in the cgroup hierarchies: version 2, version 1, or both at once.

use std::ffi::OsStr;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::{Host, field};

/// The kernel's PATH_MAX: `/proc/PID/cgroup` has no longer ones.
const MAX_PATH_BYTES: usize = 4096;

/// So many cgroups above each other are asked for their limits, those nearest to the root.
///
/// Who may make cgroups may nest thousands, and each of them would take time at every look.
const MAX_LEVELS: usize = 64;

/// The cgroup whose memory limits bind a process.
///
/// Its path is as the kernel spells it, for opening files: not fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryCgroup {
    /// Which files it has.
    pub(super) version: Version,
    /// Where its hierarchy is mounted, relative to the root.
    mount: &'static str,
    /// Its path in the hierarchy, without a slash in front; empty is the hierarchy's root.
    path: PathBuf,
}

/// Version of the cgroup interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// A hierarchy for each controller, `memory.limit_in_bytes`.
    V1,
    /// One hierarchy, `memory.max`.
    V2,
}

/// What `/proc/PID/cgroup` says: a path in each hierarchy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Membership<'a> {
    /// In version 2.
    unified: Option<&'a [u8]>,
    /// In the version 1 hierarchy in which systemd keeps its units.
    systemd: Option<&'a [u8]>,
    /// In the version 1 hierarchy of the memory controller.
    memory: Option<&'a [u8]>,
}

impl<'a> Membership<'a> {
    /// Reads lines of the form `HIERARCHY:CONTROLLER,…:PATH`. A path may itself have colons.
    pub(super) fn parse(text: &'a [u8]) -> Self {
        let mut membership = Self::default();
        for line in field::lines(text) {
            let mut fields = line.splitn(3, |byte| *byte == b':');
            let (Some(number), Some(controllers), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if !path.starts_with(b"/") || path.len() > MAX_PATH_BYTES {
                continue;
            }
            // A process that has ended, but is not yet reaped, may outlive its cgroup.
            let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
            if number == b"0" && controllers.is_empty() {
                membership.unified = Some(path);
            } else if controllers == b"name=systemd" {
                membership.systemd = Some(path);
            } else if controllers
                .split(|byte| *byte == b',')
                .any(|name| name == b"memory")
            {
                membership.memory = Some(path);
            }
        }
        membership
    }

    /// The path by which the process goes; empty if nothing is known.
    ///
    /// Where both versions are in use, either may be the one that systemd or a container engine
    /// has put the process into, while it is left in the root of the other.
    pub(super) fn path(&self) -> &'a [u8] {
        let all = [self.unified, self.systemd, self.memory];
        let mut paths = all.into_iter().flatten();
        let first = paths.next().unwrap_or_default();
        iter::once(first)
            .chain(paths)
            .find(|path| *path != b"/")
            .unwrap_or(first)
    }
}

impl MemoryCgroup {
    /// Finds the hierarchy that has the memory controller, in the usual places.
    ///
    /// There is none for a path that leads out of its hierarchy, as the kernel shows one that
    /// this program's cgroup namespace does not have.
    pub(super) fn find(host: &Host, membership: &Membership<'_>) -> Option<Self> {
        let (version, mount, path) = if let Some(path) = membership.memory {
            (Version::V1, "sys/fs/cgroup/memory", path)
        } else if host.has("sys/fs/cgroup/cgroup.controllers") {
            (Version::V2, "sys/fs/cgroup", membership.unified?)
        } else {
            (Version::V2, "sys/fs/cgroup/unified", membership.unified?)
        };
        let path = relative(path)?;
        Some(Self {
            version,
            mount,
            path,
        })
    }

    /// Its directory and those above it up to the root of the hierarchy, itself first.
    pub(super) fn directories(&self) -> impl Iterator<Item = PathBuf> {
        let n_levels = self.path.ancestors().count();
        self.path
            .ancestors()
            .skip(n_levels.saturating_sub(MAX_LEVELS))
            .map(|path| Path::new(self.mount).join(path))
    }
}

/// A path below the root of a hierarchy; none if it leads out of it.
fn relative(path: &[u8]) -> Option<PathBuf> {
    let path = Path::new(OsStr::from_bytes(path)).strip_prefix("/").ok()?;
    let is_inside = |component| matches!(component, Component::Normal(_));
    path.components()
        .all(is_inside)
        .then(|| path.components().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::collect::tree::Tree;

    #[test]
    fn either_version_may_have_the_path() {
        for (text, path, memory) in [
            ("0::/a.service\n", "/a.service", None),
            ("0::/a:b/c\n", "/a:b/c", None),
            ("0::/\n", "/", None),
            (
                "9:name=systemd:/a.service\n4:memory:/m\n0::/\n",
                "/a.service",
                Some("/m"),
            ),
            ("9:name=systemd:/\n4:memory:/m\n0::/u\n", "/u", Some("/m")),
            ("9:name=systemd:/a.service\n", "/a.service", None),
            (
                "4:hugetlb,memory:/docker/1\n1:name=openrc:/docker\n",
                "/docker/1",
                Some("/docker/1"),
            ),
            ("0::/a.service (deleted)\n", "/a.service", None),
            ("0::a.service\n", "", None),
            ("0:/a.service\n::\n:::/\n\n", "", None),
            ("4:memoryless:/m\n", "", None),
        ] {
            let membership = Membership::parse(text.as_bytes());
            assert_eq!(membership.path(), path.as_bytes(), "{text}");
            assert_eq!(membership.memory, memory.map(str::as_bytes), "{text}");
        }
        let absurd = format!("0::/{}\n", "a/".repeat(4096));
        assert_eq!(Membership::parse(absurd.as_bytes()).path(), b"");
    }

    #[test]
    fn directories_go_up_to_the_root_of_the_hierarchy() {
        let v2 = "sys/fs/cgroup/cgroup.controllers";
        for (file, text, expected) in [
            (
                v2,
                "0::/a/b\n",
                &["sys/fs/cgroup/a/b", "sys/fs/cgroup/a", "sys/fs/cgroup/"][..],
            ),
            (v2, "0::/\n", &["sys/fs/cgroup/"]),
            (v2, "9:name=systemd:/a\n", &[]),
            (v2, "0::/..\n", &[]),
            (v2, "0::/a/../../../etc\n", &[]),
            (
                "none",
                "0::/a\n",
                &["sys/fs/cgroup/unified/a", "sys/fs/cgroup/unified/"],
            ),
            (
                "none",
                "4:memory:/a\n0::/b\n",
                &["sys/fs/cgroup/memory/a", "sys/fs/cgroup/memory/"],
            ),
            ("none", "4:memory:/../..\n0::/b\n", &[]),
        ] {
            let host = Tree::new().file(file, "").host();
            let cgroup = MemoryCgroup::find(&host, &Membership::parse(text.as_bytes()));
            let directories: Vec<_> = cgroup
                .iter()
                .flat_map(|cgroup| cgroup.directories())
                .collect();
            let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(directories, expected, "{text}");
        }
    }

    #[test]
    fn of_too_many_levels_those_that_users_cannot_make_are_kept() {
        let text = format!("0::/user.slice{}\n", "/a".repeat(1000));
        let host = Tree::new().host();
        let cgroup =
            MemoryCgroup::find(&host, &Membership::parse(text.as_bytes())).expect("a path");
        let directories: Vec<_> = cgroup.directories().collect();
        assert_eq!(directories.len(), MAX_LEVELS);
        let mount = Path::new("sys/fs/cgroup/unified");
        assert_eq!(directories[MAX_LEVELS - 1], mount);
        assert_eq!(directories[MAX_LEVELS - 2], mount.join("user.slice"));
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            Membership::parse(&text).path();
        }

        #[test]
        fn no_path_leads_out_of_its_hierarchy(
            controllers in "(memory|name=systemd)?",
            path in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), any::<u8>()], 0..40),
        ) {
            let text = [b"0:", controllers.as_bytes(), b":/", &path].concat();
            let host = Host::new("/nowhere");
            if let Some(cgroup) = MemoryCgroup::find(&host, &Membership::parse(&text)) {
                for directory in cgroup.directories() {
                    prop_assert!(directory.starts_with("sys/fs/cgroup"));
                    prop_assert!(directory.components().all(|c| matches!(c, Component::Normal(_))));
                }
            }
        }
    }
}
