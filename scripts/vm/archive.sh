#!/bin/bash
# Fetches packages of a suite of Debian, whatever this machine's own is, into the directory that
# this is called in:
#   scripts/vm/archive.sh SUITE PACKAGE…
# Instead of linux-image-ARCH, which only names the newest kernel, it fetches what that consists of.
# The lists are its own, in the cache outside of the tree; this machine's apt learns nothing of it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "${BASH_SOURCE[0]%/*}/kept.sh"

suite=${1:?which suite: bookworm, sid, …}
shift
state=$cache/apt/$suite
mkdir -p "$state"/{etc/apt.conf.d,etc/preferences.d,etc/trusted.gpg.d,state,lists/partial,archives/partial}
exec 9>"$state/lock"
flock 9

# The archive that this machine is configured with, or Debian's own.
archive() {
	local configured
	configured=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n "s/^$1|//p" | sed -n 1p)
	echo "${configured:-$2}"
}
signed="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg arch=amd64]"
{
	echo "deb $signed $(archive Debian http://deb.debian.org/debian) $suite main"
	case $suite in
	sid | *-backports) ;;
	*) echo "deb $signed $(archive Debian-Security http://deb.debian.org/debian-security) $suite-security main" ;;
	esac
} >"$state/etc/sources.list"
: >"$state/state/status"
options=(-q -o "Dir::Etc=$state/etc" -o "Dir::Etc::SourceList=$state/etc/sources.list" -o Dir::Etc::SourceParts=/dev/null
	-o "Dir::State=$state/state" -o "Dir::State::Lists=$state/lists" -o "Dir::State::Status=$state/state/status"
	-o "Dir::Cache=$state" -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o Acquire::Languages=none
	-o APT::Sandbox::User=root)

depends() {
	apt-cache "${options[@]}" depends "$1" | sed -n "s/^ *Depends: \($2\)$/\1/p"
}

apt-get "${options[@]}" update >"$state/log" 2>&1 || {
	tail -n 20 "$state/log" >&2
	echo "archive.sh: the lists of $suite do not come: see above" >&2
	exit 1
}
packages=()
for package in "$@"; do
	case $package in
	linux-image-[0-9]*) packages+=("$package") ;;
	linux-image-*)
		image=$(depends "$package" 'linux-image-[0-9].*' | sed -n 1p)
		packages+=("${image:?"$suite has no $package"}")
		# Newer ones are in parts.
		mapfile -t -O "${#packages[@]}" packages < <(depends "$image" 'linux-\(base\|binary\|modules\)-[0-9].*')
		;;
	*) packages+=("$package") ;;
	esac
done
apt-get "${options[@]}" download "${packages[@]}" >"$state/log" 2>&1 || {
	tail -n 20 "$state/log" >&2
	echo "archive.sh: ${packages[*]} of $suite do not come: see above" >&2
	exit 1
}
