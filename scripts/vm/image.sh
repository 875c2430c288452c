#!/bin/bash
# Makes a disk of the root of a Debian system, with the agent of tests/booted in it, and prints the
# directory that it is in, as disk:
#   scripts/vm/image.sh SUITE
# Nothing is mounted for it. Nobody writes into it: a virtual machine keeps what it writes elsewhere.
set -euo pipefail
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$here/kept.sh"

suite=${1:?which suite: bookworm, trixie, …}
agent=$here/../../tests/booted/agent/memleakd-test-agent
root=$("$here/root.sh" "$suite")
kept images "$suite" "${root##*/}" "$agent" "$agent.service"

# What a virtual machine without modules of its kernel and without terminals has nothing to do for,
# each of which takes a second or more where a processor is emulated.
masked="dev-hugepages.mount getty.target kmod-static-nodes.service modprobe@.service proc-sys-fs-binfmt_misc.automount"
masked="$masked systemd-ask-password-console.path systemd-ask-password-wall.path systemd-binfmt.service"
masked="$masked systemd-hibernate-clear.service systemd-modules-load.service systemd-pcrphase.service systemd-pstore.service"
masked="$masked systemd-random-seed.service systemd-sysusers.service systemd-tpm2-setup-early.service"
masked="$masked systemd-tpm2-setup.service systemd-udev-settle.service systemd-udev-trigger.service"
masked="$masked systemd-update-utmp-runlevel.service systemd-update-utmp.service"
generators="bless-boot cryptsetup factory-reset getty gpt-auto hibernate-resume integritysetup rc-local ssh system-update tpm2 veritysetup"

tree=$making/tree
# Not while it is being made anew.
exec 8>"$cache/roots/$suite.lock"
flock --shared 8
cp -a --reflink=auto "$root" "$tree"
exec 8>&-
units=$tree/etc/systemd/system
mkdir -p "$units/multi-user.target.wants" "$tree/etc/systemd/system-generators" "$tree/usr/local/sbin"
install -m 755 "$agent" "$tree/usr/local/sbin/"
install -m 644 "$agent.service" "$units/"
ln -s ../memleakd-test-agent.service "$units/multi-user.target.wants/"
for unit in $masked; do
	ln -sf /dev/null "$units/$unit"
done
for generator in $generators; do
	ln -sf /dev/null "$tree/etc/systemd/system-generators/systemd-$generator-generator"
done
# A journal would be written for a disk that is thrown away.
mke2fs -q -t ext4 -O ^has_journal,^metadata_csum -E lazy_itable_init=1,root_owner=0:0 -m 0 -d "$tree" "$making/disk" 2G >/dev/null
rm -rf "$tree"
keep
