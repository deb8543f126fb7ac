#!/usr/bin/env bash
# Puts Debian's kernel for virtual machines into a directory, for the lab's host (test/lab): unpacked,
# not installed. The package comes from the mirror that apt is set up with; apt checks its signature.
#
#   scripts/lab-kernel.sh <directory>
#
# A directory that is there already is left alone.
set -euo pipefail
umask 022
export LC_ALL=C

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -- "$@"; fi
}

# Downloads the kernel package that the metapackage of this release points to.
download() {
  local package
  package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
    sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
  rm -f "$1"/*.deb
  [ -n "$package" ] && (cd "$1" && apt-get -qq -o APT::Sandbox::User=root download "$package")
}

unpack() {
  dpkg-deb --extract "$1"/*.deb "$1/root"
  rm -rf "$1/root/usr/share/doc"
  # From Debian 13 on.
  if [ -d "$1/root/usr/lib/modules" ]; then
    mkdir "$1/root/lib"
    mv "$1/root/usr/lib/modules" "$1/root/lib/"
  fi
  depmod -b "$1/root" "$(ls "$1/root/lib/modules")"
  chmod 0755 "$1/root"
}

main() {
  (($# == 1)) || { sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
  local directory=$1
  mkdir -p "$(dirname "$directory")"
  exec 8>"$directory.lock"
  flock 8
  [ ! -d "$directory" ] || return 0
  work=$(mktemp -d "$directory.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  # Package lists of long ago name a version that the mirror no longer has.
  download "$work" || { as_root apt-get -qq update && download "$work"; }
  unpack "$work"
  mv "$work/root" "$directory"
}

main "$@"
