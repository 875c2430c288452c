#!/bin/sh
# install.sh [--for deb|rpm] [--package PACKAGE] [DESTDIR]
#
# Installs what packaging/files lists below DESTDIR: all of it, or what is of one package. Some files
# are elsewhere in a .deb than in a .rpm; without --for it is as this machine's packages have it.
# The programs are those in target/release, or in $BINARIES.
set -eu
cd "$(dirname "$0")/.."
umask 022

if command -v dpkg >/dev/null; then kind=deb; else kind=rpm; fi
only=
destination=
while [ $# -gt 0 ]; do
	case $1 in
	--for) kind=$2 && shift ;;
	--package) only=$2 && shift ;;
	-*)
		echo "install: $1 is no option: there are --for deb|rpm and --package PACKAGE" >&2
		exit 1
		;;
	*) destination=$1 ;;
	esac
	shift
done
binaries=${BINARIES:-target/release}
if [ ! -e "$binaries/memleakd" ]; then
	echo "install: $binaries/memleakd is not there: build it first, by make release" >&2
	exit 1
fi

while read -r package mode path source marks; do
	case $package in '' | '#'*) continue ;; esac
	[ "${only:-$package}" = "$package" ] || continue
	case $marks in
	*deb* | *rpm*) case $marks in *$kind*) ;; *) continue ;; esac ;;
	esac
	case $source in
	directory)
		install -d -m "$mode" "$destination$path"
		continue
		;;
	program) source=$binaries/${path##*/} ;;
	packaging) source=packaging$path ;;
	esac
	# What the administrator has changed stays, as a package would have it.
	if [ "$marks" = config ] && [ -e "$destination$path" ]; then
		cmp -s "$source" "$destination$path" ||
			echo "install: left as it is, for it was changed: $destination$path"
		continue
	fi
	install -D -m "$mode" "$source" "$destination$path"
done <packaging/files

if [ -z "$destination" ]; then
	cat <<-END
	install: what a package would do now:
	  systemd-sysusers memleakd.conf
	  systemd-tmpfiles --create memleakd.conf
	  journalctl --update-catalog
	  systemctl daemon-reload
	  systemctl enable --now memleakd.service memleakd-mail.path memleakd-alertmanager.path
	  systemctl --global enable memleakd-notify.service
	END
fi
