#!/bin/bash
# Makes the root of a Debian system that can be booted, and prints the directory that it is in:
#   scripts/vm/root.sh SUITE
# It stays in a cache outside of the tree ($MEMLEAKD_VM_CACHE) and is made again when this script
# has changed. Nobody writes into it: what boots it does so through an overlay, or in an image.
set -euo pipefail

suite=${1:?which suite: bookworm, trixie, …}
cache=${MEMLEAKD_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/memleakd/vm}
recipe=$(sha256sum "$0" | cut -c1-12)
root=$cache/roots/$suite-$recipe

mkdir -p "$cache/roots"
# Whoever comes second waits until the first has made it.
exec 9>"$cache/roots/$suite.lock"
flock 9
if [ -e "$root" ]; then
	touch "$root"
	echo "$root"
	exit 0
fi

# What the system needs by itself, what memleakd needs there, and what tests use to look at it.
packages="adduser apt dbus dbus-user-session init kmod libpam-systemd login mount procps systemd systemd-sysv udev util-linux"
packages="$packages libelf1 liblzma5 polkitd zlib1g"
packages="$packages dbus-bin man-db openssl python3 python3-aiosmtpd python3-dbusmock rpm"
# What a machine has that nobody needs here, and what would do something by itself.
masked="apt-daily-upgrade.timer apt-daily.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer man-db.timer"
masked="$masked rpmdb-migrate.service rpmdb-rebuild.service systemd-firstboot.service systemd-networkd.service systemd-timesyncd.service"
case $suite in
bullseye) packages=$(echo "$packages" | sed 's/polkitd/policykit-1/; s/dbus-bin//') ;;
bookworm) ;;
*) packages=$(echo "$packages" | sed 's/libelf1/libelf1t64/') ;;
esac

# The archive that this machine is configured with; mmdebstrap knows one where it has none.
archive() {
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n "s/^$1|//p" | sed -n 1p
}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
sources=()
main=$(archive Debian)
security=$(archive Debian-Security)
if [ -n "$main" ]; then
	sources+=("deb [signed-by=$keyring] $main $suite main")
	case $suite in
	sid | forky) ;;
	*) [ -z "$security" ] || sources+=("deb [signed-by=$keyring] $security $suite-security main") ;;
	esac
fi

# Other recipes may be those of other trees, whose tests use them now.
find "$cache/roots" -maxdepth 1 -name "$suite-*" -mtime +14 -exec rm -rf {} +
making=$root.making
rm -rf "$making"
trap 'rm -rf "$making"' EXIT
started=$SECONDS
echo "root: making a Debian $suite in $root, which takes a minute or two" >&2

# Nobody reads the manual pages of other packages there, but those of ours are looked for.
log=$cache/roots/$suite.log
mmdebstrap --mode=root --variant=essential --format=directory --include="$(echo "$packages" | tr -s ' ' ,)" \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
	--aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
	--customize-hook='rm -f "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id' \
	--customize-hook='echo machine > "$1/etc/hostname"; printf "127.0.0.1 localhost machine\n" > "$1/etc/hosts"; : > "$1/etc/fstab"' \
	--customize-hook='chroot "$1" useradd --create-home --uid 1000 --shell /bin/bash tester' \
	--customize-hook="for unit in $masked; do ln -sf /dev/null \"\$1/etc/systemd/system/\$unit\"; done" \
	"$suite" "$making" "${sources[@]}" >"$log" 2>&1 9>&- || {
	tail -n 30 "$log" >&2
	echo "root: mmdebstrap could not make a Debian $suite: see above" >&2
	exit 1
}
# One id for all boots: without it each would be a first one, with all units preset.
echo 6d656d6c65616b646d616368696e6500 >"$making/etc/machine-id"
mv "$making" "$root"
echo "root: made it in $((SECONDS - started)) s, $(du -sm "$root" | cut -f1) MiB" >&2
echo "$root"
