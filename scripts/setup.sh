#!/bin/sh
# Installs what a build (with "test" the tests too, with "bench" what they are measured against,
# with "eval" what the proving ground's programs run on) needs from the Debian or Ubuntu archive.
# Says first what it installs; does nothing if all is there.
set -eu

packages="clang gcc libc6-dev libelf-dev make pkg-config zlib1g-dev"
if [ "${1:-build}" = test ]; then
	packages="$packages binutils g++ libgoogle-perftools4 libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4 musl-tools"
	packages="$packages dbus dbus-bin openssl python3 python3-aiosmtpd python3-dbusmock python3-dev util-linux"
fi
# Installed, it would be a service of this machine: a test runs an instance of its own.
mail_server=
if [ "${1:-build}" = test ] && [ ! -e target/test/usr/sbin/postfix ]; then
	mail_server=postfix
fi
# Not all of these are in every archive: the bench leaves out what it cannot measure.
optional=
unpacked=
if [ "${1:-build}" = bench ]; then
	packages="$packages dbus dbus-bin libbpf-dev python3"
	optional="bpfcc-tools bpftrace heaptrack libgoogle-perftools4 libjemalloc2 libmimalloc2.0"
	optional="$optional libtcmalloc-minimal4 musl-tools redis-tools sqlite3 wrk"
	# Installed, it would be a service of this machine.
	unpacked=nginx
fi
if [ "${1:-build}" = eval ]; then
	packages="$packages python3 util-linux xz-utils"
	# Redis' server is in redis-tools already; redis-server would only make a service of it.
	optional="default-jdk-headless nodejs redis-tools"
fi

command -v cargo >/dev/null || {
	echo "setup: cargo is not there: install Rust 1.89 or later first (https://rustup.rs)" >&2
	exit 1
}
command -v dpkg-query >/dev/null || {
	echo "setup: this is no Debian or Ubuntu: install yourself what these packages hold: $packages" >&2
	exit 1
}

is_installed() {
	[ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null || true)" = "install ok installed" ]
}

missing=
for package in $packages; do
	# dbus-bin is a part of dbus before Debian 12 and Ubuntu 22.10.
	[ "$package" = dbus-bin ] && command -v dbus-monitor >/dev/null && continue
	is_installed "$package" || missing="$missing $package"
done
wanted=
for package in $optional; do
	# There are many, of which one will do.
	[ "$package" = default-jdk-headless ] && command -v javac >/dev/null && continue
	[ "$package" = nodejs ] && command -v node >/dev/null && continue
	is_installed "$package" || wanted="$wanted $package"
done
if [ -n "$unpacked" ] && { command -v nginx >/dev/null || [ -e target/bench/usr/sbin/nginx ]; }; then
	unpacked=
fi
[ -n "$missing$wanted$unpacked$mail_server" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	[ -n "$missing$wanted$unpacked" ] || exit 0 # The test that needs the mail server needs root, too.
	echo "setup: packages are missing, run as root: apt-get install$missing$wanted" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update >/dev/null
for package in $wanted; do
	if apt-cache show "$package" >/dev/null 2>&1; then
		missing="$missing $package"
	else
		echo "setup: this machine's archive has no $package"
	fi
done
if [ -n "$missing" ]; then
	echo "setup: installing from this machine's archive:$missing"
	# shellcheck disable=SC2086 # a list of words
	apt-get -q -y install --no-install-recommends $missing >/dev/null
fi
if [ -n "$unpacked" ]; then
	echo "setup: unpacking into target/bench, without installing it: $unpacked"
	mkdir -p target/bench
	(cd target/bench && apt-get -q download "$unpacked" >/dev/null 2>&1 && dpkg -x "$unpacked"_*.deb .) ||
		echo "setup: this machine's archive has no $unpacked"
fi
if [ -n "$mail_server" ]; then
	# With the libraries that a machine without a mail server may not have.
	libraries=$(apt-cache depends "$mail_server" | sed -n 's/^ *Depends: \(lib\(db\|icu\|nsl\|sasl\|tirpc\)[^ ]*\)$/\1/p')
	echo "setup: unpacking into target/test, without installing it: $mail_server"
	mkdir -p target/test/packages
	(
		cd target/test/packages
		# shellcheck disable=SC2086 # a list of words
		apt-get -q download "$mail_server" $libraries >/dev/null 2>&1
		for package in *.deb; do
			dpkg -x "$package" ..
		done
		rm -r ../packages
	)
fi
