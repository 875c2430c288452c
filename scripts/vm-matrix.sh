#!/bin/bash
# Boots virtual machines with kernels from 5.10 to the newest, with the package that "make deb" has
# made, and plays the scenarios of tests/booted on each. Says in the last lines, for each machine,
# what has passed and failed, how long each took, and what was left out and why.
#   scripts/vm-matrix.sh [NAME…]     only the scenarios with one of these in their name
# The machines are those that MEMLEAKD_MACHINES names.
set -euo pipefail
cd "$(dirname "$0")/.."

machines=${MEMLEAKD_MACHINES:-qemu-5.10 qemu-6.1 qemu-6.12 qemu-7}
results=target/vm-matrix
mkdir -p "$results"

# Why a scenario is not played on a machine, if so.
reason() {
	case $1:$2 in
	*:many::*) echo "500 services take longer to start in emulation than all other scenarios: make vm-test has it" ;;
	esac
}

program=$(cargo test --test booted --no-run 2>&1 | tee /dev/stderr | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
mapfile -t scenarios < <("$program" --ignored --list "$@" 2>/dev/null | sed -n 's/: test$//p')
[ ${#scenarios[@]} != 0 ] || { echo "vm-matrix: no scenario is called so: $*" >&2 && exit 1; }

table=$results/table
: >"$table"
failed=0
for machine in $machines; do
	for scenario in "${scenarios[@]}"; do
		why=$(reason "$machine" "$scenario")
		if [ -n "$why" ]; then
			echo "$machine	left out	$scenario: $why" >>"$table"
			continue
		fi
		log=$results/$machine.${scenario//::/.}
		started=$SECONDS
		# One at a time: a machine has two processors, each of which takes one of this one's.
		if MEMLEAKD_MACHINES=$machine RUST_BACKTRACE=0 "$program" --ignored --exact --nocapture "$scenario" >"$log" 2>&1; then
			how=passed
		else
			how=FAILED
			failed=$((failed + 1))
			cat "$log"
		fi
		echo "$machine	$how	$scenario, in $((SECONDS - started)) s" | tee -a "$table"
	done
done

echo
echo "Played on virtual machines, each kernel on its own; what they said is in $results:"
for machine in $machines; do
	echo "  $machine"
	sed -n "s/^$machine	\([^	]*\)	/    \1	/p" "$table" | expand -t 14
done
[ $failed = 0 ]
