#!/bin/sh
# Takes the pictures of docs from real runs: a few pretend services, of which two leak, for some
# minutes beside memleakd with the quick profile; then "memleakctl top" in a terminal, and a report
# in a browser.
set -eu
cd "$(dirname "$0")/.."

[ "$(id -u)" = 0 ] || {
	echo "pictures: run as root: memleakd needs it" >&2
	exit 1
}

# In a namespace of its own no other process of this machine is in the picture, and all end with it.
[ "${1:-}" = alone ] || exec unshare --pid --mount-proc --fork --kill-child "$0" alone

target=$(realpath "${CARGO_TARGET_DIR:-target}")/debug
work=$(mktemp -d)
chmod 755 "$work"
# Units are read from where systemd has its own, whichever kind of cgroup that is.
slice=/sys/fs/cgroup/system.slice
[ ! -e /sys/fs/cgroup/systemd ] || slice=/sys/fs/cgroup/systemd/system.slice
started=
cgroups=
end() {
	trap - EXIT INT TERM HUP
	for pid in $started; do
		kill "$pid" 2>/dev/null || true
	done
	wait
	# A cgroup is empty a moment after its processes have ended.
	for cgroup in $cgroups; do
		rmdir "$cgroup" 2>/dev/null || { sleep 1 && rmdir "$cgroup"; } || true
	done
	rmdir "$slice" 2>/dev/null || true
	rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# service UNIT PROGRAM KIB_PER_SEC MIB_BEFORE [KIB_OF_DATA_AT_MOST]
service() {
	cgroup=$slice/$1.service
	if [ ! -e "$cgroup" ]; then
		mkdir -p "$cgroup"
		cgroups="$cgroups $cgroup"
	fi
	cp "$work/shop" "$work/$2"
	(
		echo 0 >"$cgroup/cgroup.procs"
		ulimit -d "${5:-unlimited}"
		exec "$work/$2" "$3" "$4"
	) &
	started="$started $!"
}

mkdir -p docs
picture() {
	chromium-headless-shell --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/browser" \
		--force-device-scale-factor=2 --screenshot="$PWD/docs/$1.png" --window-size="$3" ${4:-} \
		"file://$2" >"$work/browser.log" 2>&1 || {
		cat "$work/browser.log" >&2
		exit 1
	}
	echo "pictures: docs/$1.png"
}

# Pictures show no path of this machine.
cc -O2 -g "-ffile-prefix-map=$PWD=/usr/src/shop" "-ffile-prefix-map=$PWD/scripts/pictures=/usr/src/shop" \
	-o "$work/shop" "$PWD/scripts/pictures/shop.c"
sed 's/^enabled = false/enabled = true/' config/quick.toml >"$work/memleakd.toml"
cat >"$work/bus.conf" <<END
<busconfig><type>system</type><listen>unix:path=$work/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/></policy></busconfig>
END
dbus-daemon --config-file="$work/bus.conf" --nofork --nopidfile --nosyslog &
started="$started $!"
export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$work/bus"
sleep 1

service orders order-api 130 180 350000
service sessions session-store 48 90
service mailer mailer 0 40
service thumbs thumbnailer 1 120
service scheduler scheduler 0 12
STATE_DIRECTORY="$work/state" MEMLEAKD_LOG=error "$target/memleakd" --config "$work/memleakd.toml" 2>"$work/log" &
started="$started $!"

minutes=${MEMLEAKD_PICTURE_MINUTES:-9}
echo "pictures: taking them in $minutes minutes"
sleep $((minutes * 60))

/usr/bin/python3 scripts/pictures/terminal.py 118 16 "$target/memleakctl" top -- 4 "=$work/top.html"
picture top "$work/top.html" 1036,288
/usr/bin/python3 scripts/pictures/terminal.py 118 38 "$target/memleakctl" top -- \
	4 '\r' 3 "=$work/process.html"
picture process "$work/process.html" 1036,645

id=$("$target/memleakctl" alerts | sed -n 's/^\([0-9a-f]\{12\}\) .*order-api.*/\1/p')
"$target/memleakctl" report "$id" -o "$work/report.html"
picture report "$work/report.html" 1036,1400
picture report-dark "$work/report.html" 1036,1400 --blink-settings=preferredColorScheme=0
