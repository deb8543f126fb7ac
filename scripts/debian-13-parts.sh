#!/usr/bin/env bash
# Builds agent, hello and the kernel in a root of Debian 13, with its compilers and tools, and compares every byte
# with what was built here. As root; with mmdebstrap. Takes half an hour and 6 GB in the cache.
#
#   npm run debian-13 [-- FLAVOUR...]    kernel flavours (default: minimal)
#
# Of this machine it takes the checkout's files, Rust and its crates. What the locked toolchain needs comes from
# the mirror, as on any Debian 13 (enclave-images/toolchain.sh).
set -euo pipefail
umask 022
export LC_ALL=C

readonly repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly place=${XDG_CACHE_HOME:-$HOME/.cache}/cloister/debian-13-parts
readonly rust=(CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}")
readonly packages=ca-certificates,debian-archive-keyring,gcc,libc6-dev,make,bc,bison,flex,libelf-dev,libssl-dev,lz4,xz-utils,binutils,perl,util-linux
readonly flavours="${*:-minimal}"

fail() {
  printf 'debian-13: %s\n' "$1" >&2
  exit 1
}

make_root() {
  [[ ! -e $place/root/complete ]] || return 0
  rm -rf "$place/root"
  mkdir -p "$place"
  mmdebstrap --quiet --variant=minbase --mode=root --include="$packages" trixie "$place/root"
  touch "$place/root/complete"
}

# Runs in a mount namespace: whatever is mounted ends with it.
build() {
  local root=$place/root name
  for name in "${rust[@]#*=}"; do
    mkdir -p "$root$name"
    mount --bind "$name" "$root$name"
  done
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  exec chroot "$root" env -i "${rust[@]}" HOME=/root PATH="${rust[0]#*=}/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    CARGO_TARGET_DIR=/root/target CLOISTER_KERNEL_FLAVOURS="$flavours" \
    bash "$repository/enclave-images/build.sh" /out/blobs /out
}

# A copy, which does not change while it is built.
copy_checkout() {
  local copy=$place/root$repository
  rm -rf "$copy"
  mkdir -p "$copy" "$place/root/out"
  (cd "$repository" && git ls-files -z | tar --null --files-from - --create) | tar --extract --touch --directory "$copy"
}

compare() {
  local there=$place/root/out flavour files=(hello/rootfs/hello signer/rootfs/signer blobs/{init,companion,cmdline}) file
  for flavour in $flavours; do
    local folder=blobs/$flavour/
    [[ $flavour != standard ]] || folder=blobs/
    files+=("$folder"{bzImage,vmlinux,kernel.config})
  done
  files+=(kms/{cloister-attest,cloister-kms-proxy,kmstool_enclave_cli})
  for file in "${files[@]}"; do
    cmp "$repository/build/$file" "$there/$file" || fail "$file differs"
    printf 'same: %s\n' "$file"
  done
}

[[ $(id -u) -eq 0 ]] || fail 'run it as root'
if [[ ${DEBIAN_13_INSIDE:-} == yes ]]; then build; fi
command -v mmdebstrap >/dev/null || fail 'install mmdebstrap'
make_root
copy_checkout
DEBIAN_13_INSIDE=yes unshare --mount --propagation private bash "${BASH_SOURCE[0]}" $flavours
compare
