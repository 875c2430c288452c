#!/bin/sh
# Asks lintian and rpmlint about the packages in target/packages. A warning is an error, and what they
# are not to say has its reason in packaging/debian/*.lintian-overrides and packaging/rpmlint.toml.
set -eu
cd "$(dirname "$0")/.."

limit=$((8 * 1024 * 1024))
for program in target/release/memleakctl target/release/memleakd target/release/memleakd-*; do
	case $program in *.d) continue ;; esac
	size=$(stat -c %s "$program")
	echo "lint-packages: $program has $size bytes"
	if [ "$size" -gt $limit ]; then
		echo "lint-packages: that is more than $limit" >&2
		exit 1
	fi
done

lintian --allow-root --fail-on error,warning target/packages/*.deb
rpmlint --strict --config packaging/rpmlint.toml target/packages/*.rpm
