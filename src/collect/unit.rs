//! The systemd unit of a cgroup path. Pure.
//!
//! The path alone tells, without asking systemd, and the same way as systemd tells it: slices
//! are skipped, and what comes first then is the unit or there is none. So a service of a
//! container's own systemd is never taken for one of the host.

/// What can have processes, apart from slices.
const SUFFIXES: [&str; 5] = ["service", "scope", "socket", "mount", "swap"];

/// systemd's UNIT_NAME_MAX.
const MAX_NAME_BYTES: usize = 256;

/// The system unit, spelled as systemd does: `dev-disk\x2dby.swap` stays so.
pub(super) fn system_unit(cgroup: &str) -> Option<&str> {
    let name = unescape(skip_slices(cgroup).0);
    let (prefix, suffix) = name.rsplit_once('.')?;
    (SUFFIXES.contains(&suffix) && is_valid(name, prefix) && !is_template(prefix)).then_some(name)
}

/// The unit of a user's own service manager, or of a capsule's; none outside of them.
pub(super) fn user_unit(cgroup: &str) -> Option<&str> {
    let (component, below) = skip_slices(cgroup);
    (is_manager(component) || is_session(component))
        .then(|| system_unit(below))
        .flatten()
}

/// A component without the underscore that keeps it apart from the kernel's own files.
pub(super) fn unescape(component: &str) -> &str {
    component.strip_prefix('_').unwrap_or(component)
}

/// The first component that is not a slice, and what is below it.
fn skip_slices(path: &str) -> (&str, &str) {
    let mut rest = path;
    loop {
        rest = rest.trim_start_matches('/');
        let (component, below) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_slice(unescape(component)) {
            return (component, below);
        }
        rest = below;
    }
}

fn is_slice(name: &str) -> bool {
    name.strip_suffix(".slice")
        .is_some_and(|prefix| is_valid(name, prefix) && !prefix.contains('@'))
}

/// Whether a name with this before its suffix can be a unit's.
fn is_valid(name: &str, prefix: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    name.len() < MAX_NAME_BYTES
        && !prefix.is_empty()
        && !prefix.starts_with('@')
        && prefix.chars().all(is_allowed)
}

/// A unit `name@.service` is a pattern for others and never runs.
fn is_template(prefix: &str) -> bool {
    prefix.find('@').is_some_and(|at| at + 1 == prefix.len())
}

fn is_manager(component: &str) -> bool {
    let Some(name) = component.strip_suffix(".service") else {
        return false;
    };
    match name.split_once('@') {
        Some(("user", uid)) => {
            uid.bytes().all(|byte| byte.is_ascii_digit()) && uid.parse::<u32>().is_ok()
        }
        Some(("capsule", capsule)) => !capsule.is_empty(),
        _ => false,
    }
}

fn is_session(component: &str) -> bool {
    component
        .strip_prefix("session-")
        .and_then(|rest| rest.strip_suffix(".scope"))
        .is_some_and(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_those_that_systemd_finds() {
        let long = format!("/{}.service", "a".repeat(300));
        for (cgroup, system, user) in [
            ("", None, None),
            ("/", None, None),
            ("/init.scope", Some("init.scope"), None),
            ("/system.slice", None, None),
            ("/system.slice/cron.service", Some("cron.service"), None),
            ("//system.slice//cron.service/", Some("cron.service"), None),
            ("/cron.service/sub/group", Some("cron.service"), None),
            (
                "/system.slice/system-getty.slice/getty@tty1.service",
                Some("getty@tty1.service"),
                None,
            ),
            (
                "/system.slice/dev-disk\\x2dby.swap",
                Some("dev-disk\\x2dby.swap"),
                None,
            ),
            ("/system.slice/dbus.socket", Some("dbus.socket"), None),
            ("/system.slice/home.mount", Some("home.mount"), None),
            ("/_cpu.service", Some("cpu.service"), None),
            ("/__.service", Some("_.service"), None),
            ("/_cpu.slice/_cpu.service", Some("cpu.service"), None),
            (
                "/user.slice/user-1000.slice/session-3.scope",
                Some("session-3.scope"),
                None,
            ),
            (
                "/user.slice/user-1000.slice/session-c2.scope/app.slice/x.service",
                Some("session-c2.scope"),
                Some("x.service"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/init.scope",
                Some("user@1000.service"),
                Some("init.scope"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.slice/app-x-1.scope",
                Some("user@1000.service"),
                Some("app-x-1.scope"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service",
                Some("user@1000.service"),
                None,
            ),
            (
                "/capsule.slice/capsule@web.service/app.slice/x.service",
                Some("capsule@web.service"),
                Some("x.service"),
            ),
            (
                "/user.slice/user@mallory.service/x.service",
                Some("user@mallory.service"),
                None,
            ),
            ("/user.slice/user@+1.service/x.service", None, None),
            (
                "/user.slice/session-a-b.scope/x.service",
                Some("session-a-b.scope"),
                None,
            ),
            // A unit of a container's own systemd is no unit of this host.
            ("/lxc/101/ns/system.slice/cron.service", None, None),
            ("/docker/0123/cron.service", None, None),
            ("/../system.slice/cron.service", None, None),
            // Not names of units that have processes.
            ("/system.slice/getty@.service", None, None),
            ("/system.slice/@tty1.service", None, None),
            ("/system.slice/.service", None, None),
            ("/system.slice/sleep.target", None, None),
            ("/system.slice/cron.timer", None, None),
            ("/system.slice/cron", None, None),
            ("/system.slice/cron.service (deleted)", None, None),
            ("/system.slice/cr on.service", None, None),
            ("/system.slice/größe.service", None, None),
            ("/a@b.slice/cron.service", None, None),
            (&long, None, None),
        ] {
            assert_eq!(system_unit(cgroup), system, "{cgroup}");
            assert_eq!(user_unit(cgroup), user, "{cgroup}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_unit_or_none(cgroup in "\\PC*") {
            system_unit(&cgroup);
            user_unit(&cgroup);
        }

        #[test]
        fn any_path_has_a_unit_or_none(cgroup in "(/{1,2}(_|user|session-|[a-c@.]){0,3}(\\.slice|\\.scope|@1\\.service)?){0,5}") {
            for unit in [system_unit(&cgroup), user_unit(&cgroup)].into_iter().flatten() {
                prop_assert!(!unit.contains('/') && unit.contains('.') && cgroup.contains(unit));
            }
        }
    }
}
