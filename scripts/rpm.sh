#!/bin/sh
# Makes target/packages/memleakd-VERSION-1.ARCH.rpm and memleakd-desktop-VERSION-1.ARCH.rpm of the
# programs in target/release.
#
# RPM_VERSION=0.0.9 gives them that version instead of the one in packaging/memleakd.spec, without
# building the programs again: to try upgrades. BINARIES are programs from elsewhere, and PACKAGES is
# where the packages go.
set -eu
cd "$(dirname "$0")/.."
top=$PWD
made=${PACKAGES:-$top/target/packages}

mkdir -p "$made"
spec=packaging/memleakd.spec
if [ -n "${RPM_VERSION:-}" ]; then
	spec=$made/memleakd.spec
	sed "s/^Version:.*/Version: $RPM_VERSION/; s/ - [0-9.]*-1$/ - $RPM_VERSION-1/" \
		packaging/memleakd.spec >"$spec"
fi
# --nodeps: what is needed has other names elsewhere than in Fedora, and scripts/setup.sh has seen to it.
# Nothing about this machine goes into the packages, and what old versions of rpm cannot unpack neither.
rpmbuild -bb --build-in-place --nodeps "$spec" \
	--define "_topdir $made/rpm" --define "_rpmdir $made" \
	--define '_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
	--define '_buildhost localhost' --define '_binary_payload w19.zstdio' \
	--define 'source_date_epoch_from_changelog 1' --define 'clamp_mtime_to_source_date_epoch 1' \
	--define "programs ${BINARIES:-$top/target/release}" >"$made/rpm.log" 2>&1 || {
	cat "$made/rpm.log" >&2
	exit 1
}
ls -l "$made"/*"${RPM_VERSION:-}"*.rpm
