#!/bin/bash
# Unpacks the newest kernel of a suite of Debian, and prints the directory that has it: vmlinux,
# initramfs, and release, its version.
#   scripts/vm/kernel.sh SUITE
# It is the kernel for virtual machines, and the initramfs has only what these have.
set -euo pipefail
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$here/kept.sh"

suite=${1:?which suite: bullseye, bookworm, trixie, sid}
kept kernels "$suite" "$here/archive.sh" "$here/init.sh"

unpacked=$making/unpacked
mkdir -p "$unpacked"
(cd "$unpacked" && "$here/archive.sh" "$suite" linux-image-cloud-amd64 busybox-static 9>&-)
for package in "$unpacked"/*.deb; do
	dpkg-deb -x "$package" "$unpacked"
done
# Modules are in /lib or in /usr/lib; kmod looks in /lib.
[ ! -d "$unpacked/usr/lib/modules" ] || { mkdir -p "$unpacked/lib" && mv "$unpacked/usr/lib/modules" "$unpacked/lib/"; }
release=$(ls "$unpacked/lib/modules")
echo "$release" >"$making/release"

# qemu starts the kernel itself at once, which otherwise would first have to unpack itself, in
# emulation. Where it is packed in the file, and how long that is, is in the head of the file.
number() {
	od -A n -t "u$2" -j "$1" -N "$2" "$image" | tr -d ' '
}
image=$(find "$unpacked" -type f -name 'vmlinuz*' | sed -n 1p)
start=$((($(number 0x1f1 1) + 1) * 512 + $(number 0x248 4)))
dd if="$image" of="$making/packed" bs=64K iflag=skip_bytes,count_bytes skip="$start" count="$(number 0x24c 4)" status=none
case $(od -A n -t x1 -N 4 "$making/packed" | tr -d ' ') in
fd377a58) unpack="xz --single-stream -dc" ;;
28b52ffd) unpack="zstd -dcq" ;;
02214c18) unpack="lz4 -dcq" ;;
1f8b08*) unpack="gzip -dcq" ;;
*) echo "kernel.sh: $image is packed in a way that is not known here" >&2 && exit 1 ;;
esac
# After it comes its length, which these complain of.
$unpack <"$making/packed" >"$making/vmlinux" 2>/dev/null || true
[ "$(od -A n -c -j 1 -N 3 "$making/vmlinux" | tr -d ' ')" = ELF ] || {
	echo "kernel.sh: $image does not unpack" >&2
	exit 1
}

initramfs=$making/unpacked/initramfs
mkdir -p "$initramfs"/{bin,dev,proc,sys,root,modules}
cp "$unpacked"/*bin/busybox "$unpacked"/usr/*bin/busybox "$initramfs/bin/" 2>/dev/null || true
install -m 755 "$here/init.sh" "$initramfs/init"
depmod -b "$unpacked" "$release" 2>/dev/null
for module in virtio_pci virtio_blk virtio_console virtio_rng ext4; do
	modprobe -d "$unpacked" -S "$release" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | while read -r path; do
	name=${path##*/}
	name=${name%.ko*}
	case $path in
	*.xz) xz -dc "$path" ;;
	*.zst) zstd -dcq "$path" ;;
	*) cat "$path" ;;
	esac >"$initramfs/modules/$name"
	echo "$name" >>"$initramfs/modules/order"
done
(cd "$initramfs" && find . | cpio -o -H newc --quiet) >"$making/initramfs"
rm -r "$unpacked" "$making/packed"
keep
