//! What a kernel's version says about the uprobes that it has.

use std::fmt;
use std::io;

/// A kernel's version: the `6.12.57` of `6.12.57+deb13-amd64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub u32, pub u32, pub u32);

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Release {
    /// That of the running kernel.
    pub fn running() -> io::Result<Self> {
        let name = rustix::system::uname();
        Self::parse(&name.release().to_string_lossy())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the kernel has no version"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        let mut number = || numbers.next()?.parse().ok();
        Some(Self(number()?, number()?, number().unwrap_or(0)))
    }

    /// BPF cookies, by which one program serves many places (commit 82e6b1eee6a8, 5.15).
    pub fn has_cookies(self) -> bool {
        self >= Self(5, 15, 0)
    }

    /// Links for many places whose filter lets all threads of a process pass, and no others
    /// (links since 6.6; before commit 46ba0e49b642, 6.10, they saw its first thread only).
    pub fn filters_uprobes_by_process(self) -> bool {
        self >= Self(6, 10, 0)
    }

    /// Links in which each call decides whether its return is seen (commit d920179b3d48, 6.13).
    pub fn has_uprobe_sessions(self) -> bool {
        self >= Self(6, 13, 0)
    }

    /// Whether a return probe is harmless to whoever returns.
    ///
    /// From 6.11 on x86-64 a return probe makes a system call, which a process confined by seccomp
    /// may be killed for, until commit cf6cb56ef244 (6.14, also 6.12.14 and 6.13.3). A process may
    /// confine itself at any time, so on these kernels nobody gets one.
    pub fn may_probe_returns(self) -> bool {
        if cfg!(not(target_arch = "x86_64")) {
            return true;
        }
        match self {
            Self(6, 11, _) => false,
            Self(6, 12, patch) => patch >= 14,
            Self(6, 13, patch) => patch >= 3,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, release) in [
            ("6.12.57+deb13-amd64", Some(Release(6, 12, 57))),
            ("6.18.44", Some(Release(6, 18, 44))),
            ("6.11.0-29-generic", Some(Release(6, 11, 0))),
            ("7.2-rc1", Some(Release(7, 2, 0))),
            ("5.14.0-570.el9.x86_64", Some(Release(5, 14, 0))),
            ("", None),
            ("six", None),
        ] {
            assert_eq!(Release::parse(text), release, "{text}");
        }
        assert!(Release::running().is_ok());
    }

    #[test]
    fn returns_are_left_alone_where_they_may_kill() {
        for (release, harmless) in [
            (Release(6, 1, 192), true),
            (Release(6, 10, 14), true),
            (Release(6, 11, 0), false),
            (Release(6, 11, 11), false),
            (Release(6, 12, 0), false),
            (Release(6, 12, 13), false),
            (Release(6, 12, 14), true),
            (Release(6, 13, 2), false),
            (Release(6, 13, 3), true),
            (Release(6, 14, 0), true),
            (Release(7, 2, 0), true),
        ] {
            let expected = harmless || cfg!(not(target_arch = "x86_64"));
            assert_eq!(release.may_probe_returns(), expected, "{release:?}");
        }
    }
}
