#!/bin/busybox sh
# What a virtual machine's kernel starts: loads what it needs to see its disk, and goes on there.
busybox=/bin/busybox
$busybox mount -t devtmpfs dev /dev
for module in $($busybox cat /modules/order); do
	$busybox insmod "/modules/$module"
done
# Disks come when they come.
attempts=0
until [ -b /dev/vda ] || [ $attempts = 200 ]; do
	$busybox usleep 50000
	attempts=$((attempts + 1))
done
$busybox mount -t ext4 -o rw,noatime /dev/vda /root
$busybox mount -o move /dev /root/dev
exec $busybox switch_root /root /lib/systemd/systemd
