#!/bin/sh
# Starts memleakd on this machine with a quick profile, a leaking and a steady program beside it,
# and ends with the alert that names the function. Exit status 0 only if the leak, and not the
# steady one, was found, and that function is the one.
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

cc -O2 -g -o "$work/leak" tests/programs/leak.c
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

# The last text on standard error that is of an alert and names a function: a line that begins with
# its severity, and indented lines.
readable() {
	awk -v alert="  alert       $1" -v function_name="$2" '
		function end() { if (is_it && index(text, function_name)) last = text }
		/^[^ ]/ { end(); text = ""; is_it = 0 }
		{ text = text $0 "\n" }
		$0 == alert { is_it = 1 }
		END { end(); printf "%s", last }' "$work/errors"
}

seconds=0
found=
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
	if [ -n "$id" ] && [ -z "$found" ]; then
		found=$seconds
		echo "demo: memleakd raised an alert after $found seconds, and looks where the memory is allocated"
	fi
	[ -z "$id" ] || alert=$(readable "$id" leak_record)
done
printf 'demo: after %s seconds:\n\n%s\n\n' "$seconds" "$alert"
if [ -n "$(raised "$steady")" ]; then
	echo "demo: the steady program (pid $steady) got an alert, which is wrong" >&2
	exit 1
fi
echo "demo: memleakd found the leak (pid $leak) in leak_record() and left the steady program (pid $steady) alone"
