#!/usr/bin/env bash
# Builds what enclave images are made of: kernels, agent, the example apps' root file systems, and
# the programs for AWS KMS.
#
#   enclave-images/build.sh <blobs directory> [<output directory>]
#
# <blobs> receives init (the agent), companion (the program of what runs beside an app that asks for it),
# cmdline and the kernel of the flavour `standard`: bzImage, vmlinux, kernel.config. <blobs>/minimal
# receives those of the flavour `minimal`. <output> (default: the directory that holds <blobs>) receives
# hello/rootfs, signer/rootfs and, in kms, the programs for AWS KMS. The same sources give the same bytes,
# whatever the checkout directory, user, cargo home or target directory, and agent, hello and kernels also
# on Debian 12 and 13 (toolchain.sh).
#
#   CLOISTER_KERNEL_FLAVOURS  the flavours to build (default "standard minimal")
#
# kernel/build.sh has variables of its own.
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC

readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly root=$(dirname "$here")
readonly target=x86_64-unknown-linux-gnu
readonly cargo_home=${CARGO_HOME:-$HOME/.cargo}
# A guest kernel finds the vsock device by this string alone (no ACPI, no device tree), and the
# string is measured with the image. Without a serial port console=ttyS0 has no effect. On a busy host an emulated timer is
# late, which the kernel would take for a broken one.
readonly cmdline='reboot=t panic=-1 console=ttyS0 virtio_mmio.device=512@0xfeb00e00:12 no_timer_check initramfs_options=size=80%'

# shellcheck source=toolchain.sh
source "$here/toolchain.sh"

# Prints where the locked C library is, unless it is installed together with the locked compiler.
pinned_linker() {
  [[ $(cc --version | head -n 1) != *"$(sed -n 's/^compiler gcc //p' "$here/kernel/kernel.lock")" ]] ||
    ! are_installed libc6-dev libgcc-12-dev || return 0
  pinned_toolchain || warn_of_other_measurements 'the C library or the linker'
}

warn_of_other_measurements() {
  echo "guest programs: $1 is not what toolchain.lock names. Agent and hello work, but the" >&2
  echo 'guest programs: measurements of your images WILL DIFFER from the published ones.' >&2
}

# Paths end up in panic messages. Registry sources lie in a folder named after the registry's
# address, so each such folder is mapped, not just the one above.
# rust_flags SYSROOT: empty for the C library of this machine.
rust_flags() {
  local folder
  printf '%s\x1f' -Ctarget-feature=+crt-static "--remap-path-prefix=$root=/cloister"
  for folder in "$cargo_home"/registry/src/*; do
    printf '%s\x1f' "--remap-path-prefix=$folder=/crates"
  done
  [[ -z $1 ]] || printf '%s\x1f' "-Clink-arg=--sysroot=$1"
}

# c_flags SYSROOT: C in crates is compiled for the C library that it is linked with, whose headers these are: newer
# ones name functions that it lacks. The kernel's headers are this machine's.
c_flags() {
  printf '%s' "--sysroot=$1 -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include"
}

compile() {
  # The kernel's random numbers suffice, which the NSM seeds. Those that aws-lc takes from the jitter of an emulated
  # CPU fail their health tests at times, or take minutes.
  AWS_LC_SYS_NO_JITTER_ENTROPY=1 cargo build --locked --release --target "$target" --target-dir "$target_dir" "$@" >&2
}

build_binaries() {
  local flags setting pinned
  cd "$root"
  for setting in $(compgen -e | grep -E '^(RUSTFLAGS|RUSTC.*|CARGO_(BUILD|PROFILE)_.*)$'); do
    unset "$setting"
  done
  use_locked_rust || warn_of_other_measurements "$(rustc --version)"
  cargo fetch --quiet --locked --target "$target"
  pinned=$(pinned_linker)
  flags=$(rust_flags "$pinned")
  # Rust calls the linker `cc`, and chooses how by that name.
  export PATH=${pinned:+$pinned/tools:}$PATH CARGO_ENCODED_RUSTFLAGS=${flags%$'\x1f'} CARGO_INCREMENTAL=0
  [[ -z $pinned ]] || export CFLAGS_x86_64_unknown_linux_gnu="$(c_flags "$pinned")"
  # Each on its own: the features that other programs want of a crate would be its features too, and a
  # dependency of one would change the measurements of another.
  local package
  for package in cloister-agent cloister-companion hello cloister-kms signer; do
    compile --package "$package"
  done
}

# Installs through a rename, so that a reader sees the old file or the new one.
place() {
  local mode=$1 from=$2 to=$3
  install --mode "$mode" "$from" "$to.new"
  mv "$to.new" "$to"
}

# place_kernel FLAVOUR DIRECTORY: builds it, or takes it from the cache.
place_kernel() {
  local kernel file
  kernel=$("$here/kernel/build.sh" "$1" | tail -n 1)
  mkdir -p "$2"
  for file in bzImage vmlinux kernel.config; do place 644 "$kernel/$file" "$2/$file"; done
}

main() {
  (($# == 1 || $# == 2)) || { sed -n '2,17s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
  mkdir -p "$1" "${2:-$(dirname "$1")}"/{hello/rootfs,kms,signer/rootfs}
  local blobs out flavour binaries program
  blobs=$(cd "$1" && pwd)
  out=$(cd "${2:-$(dirname "$blobs")}" && pwd)
  for flavour in ${CLOISTER_KERNEL_FLAVOURS:-standard minimal}; do
    if [[ $flavour == standard ]]; then
      place_kernel standard "$blobs"
    else
      place_kernel "$flavour" "$blobs/$flavour"
    fi
  done
  build_binaries
  binaries=$target_dir/$target/release
  place 755 "$binaries/cloister-agent" "$blobs/init"
  place 755 "$binaries/cloister-companion" "$blobs/companion"
  place 644 <(printf '%s' "$cmdline") "$blobs/cmdline"
  place 755 "$binaries/hello" "$out/hello/rootfs/hello"
  place 755 "$binaries/signer" "$out/signer/rootfs/signer"
  for program in cloister-attest cloister-kms-proxy kmstool_enclave_cli; do
    place 755 "$binaries/$program" "$out/kms/$program"
  done
}

readonly target_dir=${CARGO_TARGET_DIR:-$root/target/images}
main "$@"
