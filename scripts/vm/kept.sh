# What the scripts beside this have in common, and source: a cache outside of the tree
# ($MEMLEAKD_VM_CACHE) of directories that take long to make.
# shellcheck shell=bash
cache=${MEMLEAKD_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/memleakd/vm}

# kept KIND NAME INGREDIENT…: where NAME is that is made from these ingredients, files or words.
# If it has been made already this prints the directory and ends the script. If not, it waits for
# whoever is making it, and leaves the caller with an empty directory $making to be filled.
kept() {
	local kind=$1 name=$2 ingredient
	shift 2
	local recipe
	recipe=$(for ingredient in "$0" "$@"; do
		if [ -f "$ingredient" ]; then cat "$ingredient"; else echo "$ingredient"; fi
	done | sha256sum | cut -c1-12)
	directory=$cache/$kind/$name-$recipe
	mkdir -p "$cache/$kind"
	exec 9>"$cache/$kind/$name.lock"
	flock 9
	if [ -e "$directory" ]; then
		echo "$directory"
		exit 0
	fi
	# What an earlier recipe has made, or an attempt that was cut off.
	rm -rf "$cache/$kind/$name"-*
	making=$directory.making
	mkdir "$making"
	trap 'rm -rf "$making"' EXIT
	started=$SECONDS
	echo "${0##*/}: making $directory" >&2
}

# Puts what has been made in its place, whole or not at all, and prints that.
keep() {
	mv "$making" "$directory"
	echo "${0##*/}: made it in $((SECONDS - started)) s, $(du -sm "$directory" | cut -f1) MiB" >&2
	echo "$directory"
}
