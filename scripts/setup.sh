#!/bin/sh
# Installs what a build (and, with "test", the tests) need from the Debian or Ubuntu archive.
# Says first what it installs; does nothing if all is there.
set -eu

packages="clang gcc libc6-dev libelf-dev make pkg-config zlib1g-dev"
if [ "${1:-build}" = test ]; then
	packages="$packages binutils libgoogle-perftools4 libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4 musl-tools"
	packages="$packages dbus dbus-bin openssl python3 python3-aiosmtpd util-linux"
fi

command -v cargo >/dev/null || {
	echo "setup: cargo is not there: install Rust 1.89 or later first (https://rustup.rs)" >&2
	exit 1
}
command -v dpkg-query >/dev/null || {
	echo "setup: this is no Debian or Ubuntu: install yourself what these packages hold: $packages" >&2
	exit 1
}

missing=
for package in $packages; do
	# dbus-bin is a part of dbus before Debian 12 and Ubuntu 22.10.
	[ "$package" = dbus-bin ] && command -v dbus-monitor >/dev/null && continue
	status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
	[ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "setup: packages are missing, run as root: apt-get install$missing" >&2
	exit 1
fi
echo "setup: installing from this machine's archive:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -q update >/dev/null
# shellcheck disable=SC2086 # a list of words
apt-get -q -y install --no-install-recommends $missing >/dev/null
