#!/bin/bash
# Prints the directory with a qemu-system-x86_64 that is fit for machines with several processors:
#   scripts/vm/qemu.sh
# That is this machine's own from 10 on. Before, as in Debian 12, emulated processors now and then
# run a kernel's code while another one is changing it, as the kernel does when a tracepoint is
# attached: these die. There it is the one of bookworm-backports, unpacked and not installed.
set -euo pipefail
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$here/kept.sh"

own=$(qemu-system-x86_64 --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\).*/\1/p')
if [ "${own:-0}" -ge 10 ]; then
	dirname "$(command -v qemu-system-x86_64)"
	exit 0
fi
kept qemu backports "$here/archive.sh"

(cd "$making" && "$here/archive.sh" bookworm-backports qemu-system-x86 qemu-system-common qemu-system-data seabios 9>&-)
for package in "$making"/*.deb; do
	dpkg-deb -x "$package" "$making"
done
rm "$making"/*.deb
cat >"$making/qemu-system-x86_64" <<'X'
#!/bin/sh
here=${0%/*}
exec "$here/usr/bin/qemu-system-x86_64" -L "$here/usr/share/qemu" -L "$here/usr/share/seabios" "$@"
X
chmod +x "$making/qemu-system-x86_64"
missing=$(ldd "$making/usr/bin/qemu-system-x86_64" | sed -n 's/ => not found//p' | tr -d '\t' | tr '\n' ' ')
[ -z "$missing" ] || {
	echo "qemu.sh: this machine lacks libraries that qemu of bookworm-backports needs: $missing" >&2
	exit 1
}
keep
