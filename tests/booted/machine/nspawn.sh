#!/bin/sh
# Boots the system of a root directory on this machine's kernel, in a mount namespace of its own:
# what is mounted here is gone when the system is off. Variables: ROOT, which stays as it is;
# DIRECTORY, with what is changed (upper) and the agent's socket (share); NAME; CGROUPS.
set -eu
for cgroup in $CGROUPS; do
	echo $$ >"$cgroup/cgroup.procs"
done
mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$DIRECTORY/upper,workdir=$DIRECTORY/work" "$DIRECTORY/root"
# Of what nspawn does for its other containers, nothing stays here.
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn

# The capabilities of memleakd's unit that containers do not have, and nothing else that has power
# over the host. Nobody waits for disks.
exec systemd-nspawn --quiet --directory="$DIRECTORY/root" --machine="$NAME" --hostname=machine \
	--register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off --private-network \
	--capability=CAP_BPF,CAP_PERFMON,CAP_CHECKPOINT_RESTORE,CAP_SYSLOG,CAP_IPC_LOCK --system-call-filter="bpf perf_event_open" \
	--suppress-sync=yes --console=read-only --bind="$DIRECTORY/share:/run/memleakd-test" \
	--boot systemd.show_status=0 systemd.log_color=0 systemd.journald.forward_to_console=1
