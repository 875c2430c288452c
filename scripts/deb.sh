#!/bin/sh
# Makes target/packages/memleakd_VERSION_ARCH.deb and memleakd-desktop_VERSION_ARCH.deb of the
# programs in target/release.
#
# DEB_VERSION=0.0.9-1 gives them that version instead of the one in packaging/debian/changelog,
# without building the programs again: to try upgrades. BINARIES are programs from elsewhere, and
# PACKAGES is where the packages go.
set -eu
cd "$(dirname "$0")/.."
top=$PWD
made=${PACKAGES:-$top/target/packages}
# dpkg-buildpackage wants debian/ at the top, puts what it makes beside that, and writes into it.
stage=$made/deb/memleakd

rm -rf "$made/deb"
mkdir -p "$stage"
cp -r packaging/debian "$stage/debian"
for part in CHANGELOG.md LICENSE README.md config packaging scripts; do
	ln -s "$top/$part" "$stage/$part"
done
if [ -n "${DEB_VERSION:-}" ]; then
	sed -i "1s/(.*)/($DEB_VERSION)/" "$stage/debian/changelog"
fi
# -d: Rust may be rustup's, and scripts/setup.sh has looked for the rest.
(cd "$stage" && BINARIES="${BINARIES:-$top/target/release}" dpkg-buildpackage -b -d -us -uc) \
	>"$made/deb.log" 2>&1 || {
	cat "$made/deb.log" >&2
	exit 1
}
mv "$made"/deb/*.deb "$made"
ls -l "$made"/*"${DEB_VERSION:-}"*.deb
