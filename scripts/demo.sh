#!/bin/sh
# Starts memleakd on this machine with a quick profile, a leaking and a steady program beside it,
# and ends with the alert. Exit status 0 only if the leak, and not the steady one, was found.
set -eu
cd "$(dirname "$0")/.."

[ "$(id -u)" = 0 ] || {
	echo "demo: run as root: reading the memory of every process by eBPF needs it" >&2
	exit 1
}

target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
started=
end() {
	trap - EXIT INT TERM HUP
	for pid in $started; do
		kill "$pid" 2>/dev/null || true
	done
	wait
	rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

cc -O2 -o "$work/leak" tests/programs/leak.c
cc -O2 -o "$work/steady" tests/programs/steady.c

echo "demo: starting memleakd (config/quick.toml), a program that leaks 1 KiB a millisecond, and a steady one"
STATE_DIRECTORY="$work/state" MEMLEAKD_LOG=${MEMLEAKD_LOG:-error} \
	"$target/debug/memleakd" --config config/quick.toml --output json >"$work/alerts.json" 2>"$work/errors" &
daemon=$!
started=$daemon
"$work/leak" &
leak=$!
"$work/steady" &
steady=$!
started="$daemon $leak $steady"

# The id of the alert that was raised for a process.
raised() {
	grep '"change":"raised"' "$work/alerts.json" | grep "\"pid\":$1," | sed 's/.*"id":"\([^"]*\)".*/\1/'
}

# An alert as standard error has it: a line that begins with its severity, and indented lines.
readable() {
	awk -v last="  alert       $1" '/^[^ ]/ { text = "" } { text = text $0 "\n" } $0 == last { printf "%s", text; exit }' \
		"$work/errors"
}

seconds=0
alert=
until [ -n "$alert" ]; do
	if ! kill -0 "$daemon" 2>/dev/null || [ "$seconds" -ge 60 ]; then
		echo "demo: no alert after $seconds seconds; memleakd said:" >&2
		cat "$work/errors" >&2
		exit 1
	fi
	sleep 1
	seconds=$((seconds + 1))
	id=$(raised "$leak")
	[ -z "$id" ] || alert=$(readable "$id")
done
printf 'demo: after %s seconds:\n\n%s\n\n' "$seconds" "$alert"
if [ -n "$(raised "$steady")" ]; then
	echo "demo: the steady program (pid $steady) got an alert, which is wrong" >&2
	exit 1
fi
echo "demo: memleakd found the leak (pid $leak) and left the steady program (pid $steady) alone"
