#!/bin/sh
# Boots whole systems with the package that "make deb" has made, and plays every scenario of
# tests/booted on each. Says in the last lines what was left out.
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ] || [ ! -e /sys/kernel/btf/vmlinux ]; then
	cat >&2 <<-END

	========================================================================
	LEFT OUT: the tests of tests/booted, which boot whole systems. They need
	root and a kernel with BTF (/sys/kernel/btf/vmlinux).
	Nothing above shows that the packages work.
	========================================================================
	END
	exit
fi

MEMLEAKD_MACHINES=${MEMLEAKD_MACHINES:-bookworm trixie}
export MEMLEAKD_MACHINES
# Now, so that no test seems to take minutes.
for machine in $MEMLEAKD_MACHINES; do
	scripts/vm/root.sh "$machine" >/dev/null
done
# A scenario mostly waits: three at a time do well on two processors.
cargo test --test booted -- --ignored --skip limits:: --test-threads="${MEMLEAKD_VM_THREADS:-3}"

cat <<END

Booted, each for every scenario: $MEMLEAKD_MACHINES, on this machine's kernel $(uname -r).
LEFT OUT here: other kernels, and limits of cgroups' memory (limits::), which containers do not have.
END
