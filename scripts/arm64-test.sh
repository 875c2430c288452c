#!/bin/sh
# Runs what scripts/arm64.sh has compiled: scripts/arm64-test.sh [SUITE…]
# What needs no kernel of its own is emulated here, and must say exactly what this machine's programs
# say; the rest runs in an emulated machine with the kernel of a release of Debian (trixie, if none is
# named), which loads the eBPF programs: memleakd finds three leaks there. It takes a few minutes.
set -eu
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
programs=$target/aarch64-unknown-linux-gnu/release
root=target/arm64/root
cache=${MEMLEAKD_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/memleakd/vm}/arm64
work=$(mktemp -d)
emulator=
end() {
	trap - EXIT INT TERM HUP
	[ -z "$emulator" ] || kill "$emulator" 2>/dev/null || true
	rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

n_passed=0
n_failed=0
ok() {
	echo "ok $*"
	n_passed=$((n_passed + 1))
}
failed() {
	echo "FAILED $*"
	n_failed=$((n_failed + 1))
}

# Runs a program of this machine and the one for ARM with the same arguments: both say the same.
same() {
	name=$1
	program=$2
	shift 2
	status=0
	"$target/debug/$program" "$@" >"$work/here" 2>"$work/here.errors" || status=$?
	arm_status=0
	qemu-aarch64 -L "$root" "$programs/$program" "$@" >"$work/arm" 2>"$work/arm.errors" || arm_status=$?
	if [ "$status" = "$arm_status" ] && [ -s "$work/here" ] && cmp "$work/here" "$work/arm" && cmp "$work/here.errors" "$work/arm.errors"; then
		ok "$name: $(wc -c <"$work/here") bytes, the same"
	else
		failed "$name: status $status here, $arm_status there"
		diff "$work/here" "$work/arm" | head -n 20
		diff "$work/here.errors" "$work/arm.errors" | head -n 20
	fi
}

for program in memleakd memleakctl memleakd-mail memleakd-notify memleakd-alertmanager; do
	same "$program --version" "$program" --version
done
same "the configuration in force" memleakd --config config/memleakd.toml --check
awk -f tests/arm64/history.awk >"$work/history.csv"
same "a replay" memleakd replay "$work/history.csv" --output json
grep -q '"change":"raised"' "$work/here" || failed "the replay finds nothing"

# All files of the machine are in memory.
make_guest() {
	guest=$work/guest
	rm -rf "$guest"
	mkdir -p "$guest/bin" "$guest/etc" "$guest/lib/aarch64-linux-gnu"
	cp "$cache/busybox" "$programs/memleakd" "$guest/bin"
	cp tests/arm64/init "$guest/init"
	cp config/quick.toml "$guest/etc/heap.toml"
	cat config/quick.toml tests/arm64/kernel.toml >"$guest/etc/kernel.toml"
	echo go >"$guest/etc/go"
	for source in leak arena kernel_leak; do
		# With signed return addresses, as distributions have them.
		target/arm64/cc -O2 -g -mbranch-protection=standard -fdebug-prefix-map="$PWD=." \
			-o "$guest/bin/$source" "tests/programs/$source.c"
	done
	for library in libc.so.6 libelf.so.1 libgcc_s.so.1 libm.so.6 libz.so.1 libzstd.so.1; do
		[ ! -e "$root/usr/lib/aarch64-linux-gnu/$library" ] ||
			cp "$root/usr/lib/aarch64-linux-gnu/$library" "$guest/lib/aarch64-linux-gnu"
	done
	cp "$root/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1" "$guest/lib"
	(cd "$guest" && find . | cpio --quiet -o -H newc --owner=0:0) >"$work/initramfs"
}

fetch_kernel() {
	if [ ! -e "$cache/vmlinuz-$1" ]; then
		echo "arm64-test: fetching the kernel of Debian $1 for arm64 into $cache"
		scripts/arm64-packages.sh "$1" "$work/kernel" linux-image-cloud-arm64
		mkdir -p "$cache"
		# In boot, or since Linux 7 beside its modules.
		cp "$(find "$work/kernel" -name 'vmlinuz*' -type f | sed -n 1p)" "$cache/vmlinuz-$1.part"
		mv "$cache/vmlinuz-$1.part" "$cache/vmlinuz-$1"
	fi
	if [ ! -e "$cache/busybox" ]; then
		scripts/arm64-packages.sh trixie "$work/busybox" busybox-static
		cp "$work/busybox/usr/bin/busybox" "$cache"
	fi
	rm -rf "$work/kernel" "$work/busybox"
}

# Has memleakd find what leaks in a machine with the kernel of a release of Debian.
emulate() {
	fetch_kernel "$1"
	make_guest
	echo "arm64-test: starting an emulated machine with the kernel of Debian $1"
	started=$(date +%s)
	: >"$work/console"
	# One processor: with more, QEMU 7.2 goes wrong where the kernel changes its own code.
	timeout 1800 qemu-system-aarch64 -machine virt -cpu max,pauth-impdef=on -smp 1 -m 2048 \
		-nographic -nic none -no-reboot -kernel "$cache/vmlinuz-$1" -initrd "$work/initramfs" \
		-append "console=ttyAMA0 panic=-1 quiet" </dev/null >"$work/console" 2>&1 &
	emulator=$!
	tail -n +1 -f --pid="$emulator" "$work/console" | tr -d '\r' |
		grep --line-buffered -E "^(arm64: |ok |FAILED )" || true
	wait "$emulator" || true
	emulator=
	tr -d '\r' <"$work/console" >"$work/said"
	n_passed=$((n_passed + $(grep -c "^ok " "$work/said" || true)))
	n_failed_here=$(grep -c "^FAILED " "$work/said" || true)
	n_failed=$((n_failed + n_failed_here))
	if ! grep -q "^arm64: ended" "$work/said"; then
		failed "the machine did not come to its end"
		n_failed_here=1
	fi
	[ "$n_failed_here" = 0 ] || tail -n 100 "$work/said"
	echo "arm64-test: the machine ran for $(($(date +%s) - started)) s"
}

[ $# -gt 0 ] || set -- trixie
for suite in "$@"; do
	emulate "$suite"
done
echo "$n_passed passed, $n_failed failed"
[ "$n_failed" = 0 ]
