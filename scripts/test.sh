#!/bin/sh
# Runs every test that needs no virtual machine. Those that drive the kernel need root and BTF;
# where they cannot run, this says so in the last lines.
set -eu
cd "$(dirname "$0")/.."

# Tests of tests/kernel that mostly wait go beside those that count and measure: two rows of tests,
# each one after the other in a pid namespace of its own, as a daemon looks at every process in its.
waiting="attention:: bus:: capture:: demo_leak:: desktop:: ends:: explain:: hook:: journal:: journald:: life::
	mail:: monitoring:: report:: scan:: sinks:: sites:: soak::"
# These ask for the machine's own pid namespace, and go last, alone.
outermost="kernel_memory:: privilege:: allocator::static_programs ends::a_kernel_that
	explain::others_may_ask"

# Arguments: words before each, and a list of words.
each() {
	for name in $2; do
		printf '%s %s ' "$1" "$name"
	done
}

in_namespace() {
	unshare --pid --fork --kill-child --mount-proc "$@"
}

cargo test

if [ "$(id -u)" = 0 ] && [ -e /sys/kernel/btf/vmlinux ]; then
	kernel="cargo test --test kernel -- --ignored --test-threads=1"
	beside=$(mktemp)
	trap 'rm -f "$beside"' EXIT
	status=0
	# shellcheck disable=SC2046,SC2086 # lists of words
	{
		in_namespace $kernel $waiting $(each --skip "$outermost") >"$beside" 2>&1 &
		in_namespace $kernel $(each --skip "$waiting $outermost") || status=$?
		wait $! || status=$?
		cat "$beside"
		$kernel $outermost || status=$?
	}
	exit $status
else
	cat >&2 <<-END

	========================================================================
	LEFT OUT: the tests of tests/kernel, which load eBPF programs and run the
	daemon. They need root and a kernel with BTF (/sys/kernel/btf/vmlinux).
	Nothing above shows that memleakd works on this machine.
	========================================================================
	END
fi
