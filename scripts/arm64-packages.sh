#!/bin/sh
# Unpacks packages for arm64 into a directory, from the archive that this machine has:
#   scripts/arm64-packages.sh SUITE DIRECTORY PACKAGE…
# This machine installs none of them, and its own list of packages and architectures stays as it is.
# $MEMLEAKD_ARM64_ARCHIVE is the archive, if not this machine's (that of Ubuntu has arm64 elsewhere).
set -eu

suite=$1
directory=$2
shift 2
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] || keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg

# The first archive of this machine with that label.
of_this_machine() {
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n "s/^$1|//p" | sed -n 1p
}
archive=${MEMLEAKD_ARM64_ARCHIVE:-$(of_this_machine Debian)}
[ -n "$archive" ] || {
	echo "arm64: this machine's archive is not Debian's: say in MEMLEAKD_ARM64_ARCHIVE which one has arm64" >&2
	exit 1
}

state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/etc/apt.conf.d" "$state/etc/preferences.d" "$state/lists/partial" "$state/cache/archives/partial"
: >"$state/status"
echo "deb [arch=arm64 signed-by=$keyring] $archive $suite main" >"$state/etc/sources.list"
{
	echo "Dir::Etc \"$state/etc\";"
	echo "Dir::State \"$state\";"
	echo "Dir::State::status \"$state/status\";"
	echo "Dir::Cache \"$state/cache\";"
	echo 'APT::Architecture "arm64"; APT::Architectures { "arm64"; };'
	echo 'APT::Sandbox::User ""; Acquire::Languages "none";'
} >"$state/apt.conf"
export APT_CONFIG="$state/apt.conf"

depends() {
	apt-cache depends --important "$1" | sed -n "s/^ *Depends: \($2.*\)/\1/p"
}
# A kernel is asked for by the name that the newest one has. Since Linux 7 it has a package of its own.
named() {
	for package in "$@"; do
		case $package in
		linux-image-*)
			image=$(depends "$package" 'linux-image-[0-9]')
			echo "$image"
			depends "$image" linux-binary-
			;;
		*) echo "$package" ;;
		esac
	done
}
(
	cd "$state"
	# shellcheck disable=SC2046 # a list of words
	apt-get -q update >log 2>&1 && apt-get -q download $(named "$@") >>log 2>&1
) || {
	cat "$state/log" >&2
	echo "arm64: $archive has not all of these for arm64 in $suite: $*" >&2
	exit 1
}
mkdir -p "$directory/usr/lib"
# Packages from before the merge of /lib into /usr/lib and from after it get along so.
[ -e "$directory/lib" ] || ln -s usr/lib "$directory/lib"
for package in "$state"/*.deb; do
	dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$directory"
done
# Links from the root would lead into this machine.
find "$directory" -type l -lname '/*' | while read -r link; do
	ln -sf "$(realpath -m --relative-to "$(dirname "$link")" "$directory$(readlink "$link")")" "$link"
done
