#!/bin/sh
# Runs every test that needs no virtual machine. Those that drive the kernel need root and BTF;
# where they cannot run, this says so in the last lines.
set -eu
cd "$(dirname "$0")/.."

cargo test

if [ "$(id -u)" = 0 ] && [ -e /sys/kernel/btf/vmlinux ]; then
	# One after the other: they watch the whole machine.
	cargo test --test kernel -- --ignored --test-threads=1
else
	cat >&2 <<-END

	========================================================================
	LEFT OUT: the tests of tests/kernel, which load eBPF programs and run the
	daemon. They need root and a kernel with BTF (/sys/kernel/btf/vmlinux).
	Nothing above shows that memleakd works on this machine.
	========================================================================
	END
fi
