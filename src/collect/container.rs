//! The container of a cgroup path. Pure.

use super::unit::unescape;
use crate::sample::printable;

/// What container engines put before the id in the name of a cgroup.
const ENGINES: [&str; 6] = [
    "docker-",
    "cri-containerd-",
    "crio-",
    // Of `podman run --cgroups=split`, which units made by Quadlet use.
    "libpod-payload-",
    "libpod-",
    "nerdctl-",
];

/// The container that a process in this cgroup runs in: the innermost if they are nested.
///
/// An id is given in full, of which `docker ps` shows 12 digits; containers and machines with a
/// name of their own (LXC, systemd-nspawn, libvirt) by that name.
pub(super) fn container(cgroup: &str) -> Option<String> {
    let mut below = None;
    for component in cgroup.rsplit('/').map(unescape) {
        let found = match (component, below) {
            // Before 4.0, and on Proxmox, LXC has a cgroup for all of its containers.
            ("lxc" | "lxc.payload", Some(below)) => Some(str::to_owned(below)),
            _ => engine_id(component).or_else(|| machine_name(component)),
        };
        if found.is_some() {
            return found;
        }
        below = Some(component).filter(|component| !component.is_empty());
    }
    None
}

/// `docker-ID.scope` and its like, of engines that use systemd, or `ID` of those that do not.
fn engine_id(component: &str) -> Option<String> {
    let name = component.strip_suffix(".scope").unwrap_or(component);
    let prefixed = ENGINES.iter().find_map(|engine| name.strip_prefix(engine));
    // `SLICE:cri-containerd:ID` is what containerd makes of a path that is meant for systemd.
    let last = name.rsplit(':').next().filter(|last| last.len() == 64);
    let id = prefixed.filter(|id| id.len() >= 12).or(last)?;
    let is_hex = id.len() <= 64 && id.chars().all(|c| c.is_ascii_hexdigit());
    is_hex.then(|| id.to_owned())
}

/// `lxc.payload.NAME`, `machine-NAME.scope` or `systemd-nspawn@NAME.service`.
fn machine_name(component: &str) -> Option<String> {
    let machine = component
        .strip_prefix("machine-")
        .and_then(|rest| rest.strip_suffix(".scope"));
    let nspawn = component
        .strip_prefix("systemd-nspawn@")
        .and_then(|rest| rest.strip_suffix(".service"));
    let name = match component.strip_prefix("lxc.payload.") {
        Some(name) => name.to_owned(),
        None => printable(&decode(machine.or(nspawn)?)),
    };
    Some(name).filter(|name| !name.is_empty())
}

/// Replaces `\xNN` by the byte it stands for.
///
/// A dash stays one, though systemd's own way makes it a slash: no machine's name has a slash,
/// and machinectl leaves dashes in `systemd-nspawn@NAME.service` as they are.
fn decode(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if let Some(byte) = escaped(rest) {
            bytes.push(byte);
            rest = &rest[4..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    bytes
}

fn escaped(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"\\x")?;
    let digit = |index: usize| char::from(*digits.get(index)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "9687bac58d5c4d1606aa46af33d1a21c1d1652e0ac9fb3fc0fc86e3495f42869";

    #[test]
    fn every_engine_is_known_by_its_path() {
        for (cgroup, expected) in [
            ("/system.slice/docker-ID.scope", Some(ID)),
            ("/docker/ID", Some(ID)),
            ("/docker/ID/init.scope", Some(ID)),
            (
                "/system.slice/docker-ID.scope/system.slice/cron.service",
                Some(ID),
            ),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-ID.scope",
                Some(ID),
            ),
            (
                "/kubepods.slice/kubepods-pod1_2.slice/crio-ID.scope/container",
                Some(ID),
            ),
            ("/kubepods/burstable/pod1-2/ID", Some(ID)),
            (
                "/system.slice/containerd.service/kubepods-pod1_2.slice:cri-containerd:ID",
                Some(ID),
            ),
            ("/machine.slice/libpod-ID.scope/container", Some(ID)),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
                Some(ID),
            ),
            ("/system.slice/nginx.service/libpod-payload-ID", Some(ID)),
            (
                "/machine.slice/libpod-9687bac58d5c.scope",
                Some("9687bac58d5c"),
            ),
            (
                "/lxc.payload.web-1/system.slice/cron.service",
                Some("web-1"),
            ),
            ("/lxc.payload/web", Some("web")),
            ("/lxc/101/ns/system.slice/cron.service", Some("101")),
            (
                "/machine.slice/machine-my\\x2dbox.scope/payload",
                Some("my-box"),
            ),
            (
                "/machine.slice/systemd-nspawn@my-box.service/payload",
                Some("my-box"),
            ),
            (
                "/machine.slice/systemd-nspawn@my\\x2dbox.service",
                Some("my-box"),
            ),
            (
                "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt",
                Some("qemu-1-vm"),
            ),
            (
                "/machine.slice/machine-a\\x0a\\x1b\\xff\\xg.scope",
                Some("a\\u{a}\\u{1b}\u{fffd}\\xg"),
            ),
            // The innermost.
            ("/lxc.payload.web/docker/ID", Some(ID)),
            (
                "/docker/0000000000000000000000000000000000000000000000000000000000000000/kubelet/kubepods/pod1/ID",
                Some(ID),
            ),
            // No containers.
            ("", None),
            ("/", None),
            ("/system.slice/docker.service", None),
            ("/system.slice/docker-proxy.scope", None),
            ("/system.slice/docker-abcdef.scope", None),
            ("/machine.slice/libpod-conmon-ID.scope", None),
            ("/system.slice/crio-conmon-ID.scope", None),
            ("/docker/IDID", None),
            ("/process/321fa7ad3e5943e62cc44a7ba5a2d368", None),
            ("/machine.slice", None),
            ("/machine.slice/machine-.scope", None),
            ("/lxc.payload.", None),
            ("/lxc.monitor.web", None),
            ("/lxc", None),
            ("/lxc/", None),
        ] {
            let cgroup = cgroup.replace("ID", ID);
            assert_eq!(container(&cgroup).as_deref(), expected, "{cgroup}");
        }
    }

    proptest! {
        #[test]
        fn nothing_harmful_comes_out(cgroup in "/(machine-|lxc\\.payload\\.|docker-)?(\\\\x[0-9a-g]{0,2}|\\PC){0,20}(\\.scope)?") {
            let container = container(&cgroup).unwrap_or_default();
            prop_assert!(!container.contains(char::is_control));
        }
    }
}
