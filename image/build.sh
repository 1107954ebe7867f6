#!/usr/bin/env bash
# Builds what goes into the image: a `celeriac` that is static, and byte for byte the same
# wherever it is built from the same sources with the same compilers.
#
#   image/build.sh FOLDER [TARGET]   fills FOLDER/root, FOLDER/state; TARGET is the
#                                    host's, or x86_64-unknown-linux-gnu or
#                                    aarch64-unknown-linux-gnu with a cross compiler
set -euo pipefail

out=${1:?expected a folder to fill, found nothing}
mkdir -p "$out"
out=$(cd "$out" && pwd -P)
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
target=${2:-$host}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/image}
mkdir -p "$CARGO_TARGET_DIR"
CARGO_TARGET_DIR=$(cd "$CARGO_TARGET_DIR" && pwd -P)

# No path of this machine may get into the binary, neither from Rust nor from C.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
flags=() c_flags=()
for pair in "$PWD=/celeriac" "$cargo_home=/cargo" "$CARGO_TARGET_DIR=/target"; do
  flags+=("--remap-path-prefix=$pair")
  c_flags+=("-ffile-prefix-map=$pair")
done
# The C library too: an image FROM scratch has none.
flags+=(-C target-feature=+crt-static)
# Separated by this character, so that a path may hold spaces.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
export CFLAGS="${c_flags[*]}"
export CARGO_INCREMENTAL=0
# What C compilers take for the time of the build; mimalloc tells it in its statistics.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0}
unset RUSTFLAGS

strip=strip
if [ "$target" != "$host" ]; then
  tools=${target%%-*}-linux-gnu
  name=${target//-/_}
  export "CC_$name=$tools-gcc" "CARGO_TARGET_${name^^}_LINKER=$tools-gcc"
  strip=$tools-strip
fi

# With a target, even the host's: flags without one would reach build scripts and macros,
# which cannot be static.
cargo build --locked --release --bin celeriac --target "$target"

rm -rf "$out/root" "$out/state"
# A directory for files that pass, one for what a supervisor keeps, and whom TLS trusts.
install -d -m 755 "$out/state" "$out/root/etc/ssl/certs" "$out/root/var/lib"
install -d -m 1777 "$out/root/tmp"
install -m 644 /etc/ssl/certs/ca-certificates.crt "$out/root/etc/ssl/certs/"
# Names of functions are a fifth of it. They stay beside, for `addr2line` and debuggers.
install -m 644 "$CARGO_TARGET_DIR/$target/release/celeriac" "$out/celeriac.symbols"
"$strip" -o "$out/root/celeriac" "$out/celeriac.symbols"
chmod 755 "$out/root/celeriac"
