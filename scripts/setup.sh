#!/bin/sh
# Installs from the Debian or Ubuntu archive what a build needs, or with an argument what
#   test               the tests need, too
#   vm, matrix         boots whole systems: containers, virtual machines
#   package            makes packages and judges them
#   arm64, arm64-test  compiles for 64-bit ARM, and emulates it
#   bench              memleakd is measured against
#   eval               the proving ground's programs run on
#   pictures           those of the documentation are taken with
# Says first what it installs; does nothing if all is there.
set -eu

packages="clang gcc libc6-dev libelf-dev make pkg-config zlib1g-dev"
# Not all of these are in every archive: what is missing is left out.
optional=
unpacked=
# A browser that is not in the archive: it is unpacked for the tests.
browser=
# Installed, these would be services of this machine: they are unpacked for the tests.
services=
case ${1:-build} in
build) ;;
test)
	packages="$packages binutils g++ libgoogle-perftools4 libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4 musl-tools"
	packages="$packages dbus dbus-bin dunst openssl python3 python3-aiosmtpd python3-dbusmock python3-dev util-linux"
	packages="$packages debhelper dpkg-dev rpm x11-apps xvfb"
	# What shows the manual pages and checks them, and the shells that completions are tried in.
	packages="$packages fish groff-base man-db mandoc zsh"
	if ! { command -v chromium-headless-shell || command -v chromium || command -v google-chrome; } >/dev/null; then
		[ -e target/test/chromium ] || browser=chromium-headless-shell
	fi
	for service in prometheus prometheus-alertmanager prometheus-node-exporter; do
		[ -e "target/test/usr/bin/$service" ] || services="$services $service"
	done
	[ -e target/test/usr/sbin/postfix ] || services="$services postfix"
	# A library of Python that goes with them, and need not be this machine's either.
	for library in prometheus_client decorator.py; do
		package=python3-$(echo "${library%.py}" | tr _ -)
		[ -e "target/test/usr/lib/python3/dist-packages/$library" ] || services="$services $package"
	done
	;;
vm) packages="$packages debian-archive-keyring mmdebstrap systemd-container util-linux" ;;
matrix)
	packages="$packages cpio debian-archive-keyring e2fsprogs kmod lz4 mmdebstrap qemu-system-x86 qemu-utils"
	packages="$packages util-linux xz-utils zstd"
	;;
package) packages="$packages debhelper dpkg-dev liblzma-dev lintian rpm rpmlint" ;;
arm64) packages="$packages binutils gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
arm64-test)
	packages="$packages binutils gcc-aarch64-linux-gnu libc6-dev-arm64-cross cpio qemu-system-arm qemu-user"
	;;
bench)
	packages="$packages dbus dbus-bin libbpf-dev python3"
	optional="bpfcc-tools bpftrace heaptrack libgoogle-perftools4 libjemalloc2 libmimalloc2.0"
	optional="$optional libtcmalloc-minimal4 musl-tools redis-tools sqlite3 wrk"
	# Installed, it would be a service of this machine.
	unpacked=nginx
	;;
eval)
	packages="$packages python3 util-linux xz-utils"
	# Redis' server is in redis-tools already; redis-server would only make a service of it.
	optional="default-jdk-headless nodejs redis-tools"
	;;
pictures) packages="$packages chromium-headless-shell dbus fonts-dejavu-core python3 python3-pyte util-linux" ;;
*)
	echo "setup: $1 is nothing that it knows: build test vm matrix package arm64 arm64-test bench eval pictures" >&2
	exit 1
	;;
esac

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
[ -n "$missing$wanted$unpacked$services$browser" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	[ -z "$missing$wanted$unpacked$browser" ] ||
		echo "setup: packages are missing, run as root: apt-get install$missing$wanted $browser" >&2
	[ -z "$services" ] ||
		echo "setup: run as root, so that these can be unpacked into target/test:$services" >&2
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
# Ubuntu's package of it is for snaps; there it comes as who tests pages brings it along.
if [ -n "$browser" ] && apt-cache show "$browser" >/dev/null 2>&1; then
	missing="$missing $browser"
	browser=
elif [ -n "$browser" ]; then
	missing="$missing python3-venv"
	browser=playwright
fi
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
if [ -n "$browser" ]; then
	echo "setup: unpacking into target/test, without installing it: a browser, by $browser of PyPI"
	python3 -m venv target/test/venv
	target/test/venv/bin/pip -q install "$browser"
	PLAYWRIGHT_BROWSERS_PATH=$PWD/target/test/browsers \
		target/test/venv/bin/playwright install --with-deps --only-shell chromium >/dev/null
	found=$(find target/test/browsers -type f \( -name headless_shell -o -name chrome-headless-shell \) | head -n 1)
	ln -sf "$PWD/$found" target/test/chromium
fi
if [ -n "$services" ]; then
	echo "setup: unpacking into target/test, without installing them:$services"
	mkdir -p target/test
	# shellcheck disable=SC2086 # a list of words
	(
		cd target/test
		libraries=
		case $services in
		# A machine without a mail server may not have these.
		*postfix*) libraries=$(apt-cache depends postfix | sed -n 's/^ *Depends: \(lib\(db\|icu\|nsl\|sasl\|tirpc\)[^ ]*\)$/\1/p') ;;
		esac
		apt-get -q download $services $libraries >/dev/null 2>&1
		for package in $services $libraries; do
			dpkg -x "$package"_*.deb .
			rm "$package"_*.deb
		done
	)
fi
