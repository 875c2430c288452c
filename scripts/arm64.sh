#!/bin/sh
# Compiles the programs for 64-bit ARM, as released, into target/aarch64-unknown-linux-gnu/release.
# scripts/setup.sh arm64 has installed the C compiler for it by then.
set -eu
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
into=${CARGO_TARGET_DIR:-target}
# Libraries of an ARM machine: what the programs are linked with, and what they run with when emulated.
root=$PWD/target/arm64/root

has_standard_library() {
	ls "$(rustc --print target-libdir --target $target)"/libstd-*.rlib >/dev/null 2>&1
}
if ! has_standard_library; then
	if command -v rustup >/dev/null; then
		echo "arm64: installing Rust's standard library for $target"
		rustup -q target add $target || true
	fi
	has_standard_library || {
		echo "arm64: Rust's standard library for $target is not there: it comes by 'rustup target add $target', or with a distribution's rustc by its libstd-rust-dev:arm64" >&2
		exit 1
	}
fi

if [ ! -e "$root/usr/lib/aarch64-linux-gnu/libelf.so" ]; then
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	echo "arm64: unpacking libelf, zlib and the C library for arm64 into target/arm64/root"
	rm -rf "$root"
	# They have gained a suffix with Debian 13 and Ubuntu 24.04.
	scripts/arm64-packages.sh "$suite" "$root" libc6 libelf-dev libelf1 libgcc-s1 zlib1g zlib1g-dev 2>/dev/null ||
		scripts/arm64-packages.sh "$suite" "$root" libc6 libelf-dev libelf1t64 libgcc-s1 libzstd1 zlib1g zlib1g-dev
fi

# The C compiler and linker, which looks for libraries there, and for those that libraries need.
cat >target/arm64/cc <<-END
	#!/bin/sh
	exec aarch64-linux-gnu-gcc -isystem "$root/usr/include" -isystem "$root/usr/include/aarch64-linux-gnu" \
		"\$@" -L"$root/usr/lib/aarch64-linux-gnu" -Wl,-rpath-link,"$root/usr/lib/aarch64-linux-gnu"
END
chmod +x target/arm64/cc
export CC_aarch64_unknown_linux_gnu="$PWD/target/arm64/cc"
export AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER="$PWD/target/arm64/cc"
cargo build --release --target $target --bins

for program in memleakd memleakctl memleakd-mail memleakd-notify memleakd-alertmanager; do
	path=$into/$target/release/$program
	machine=$(readelf -h "$path" | sed -n 's/^ *Machine: *//p')
	[ "$machine" = AArch64 ] || {
		echo "arm64: $path is for another machine: $machine" >&2
		exit 1
	}
	needed=$(readelf -d "$path" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort | tr '\n' ' ')
	echo "arm64: $path, $(($(stat -c %s "$path") / 1024)) KiB, needs $needed"
done
