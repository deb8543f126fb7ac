#!/usr/bin/env bash
# Puts the QEMU of a newer Debian into a directory of its own, with the libraries it came with. The
# machine's apt sources, packages and libraries stay as they are. The packages come from the mirror
# that apt is set up with; apt checks their signatures by Debian's keyring.
#
#   scripts/recent-qemu.sh <directory>
#
# <directory>/bin/qemu-system-x86_64 runs it. A directory that is there already is left alone.
set -euo pipefail
umask 022
export LC_ALL=C

readonly suite=trixie
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
  printf 'recent-qemu: %s\n' "$1" >&2
  printf 'What to do: %s\n' "$2" >&2
  exit 1
}

# Where apt gets this machine's own release from.
mirror() {
  local codename
  codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
  apt-get update --print-uris | sed -n "s#^'\(.*\)/dists/$codename/InRelease'.*#\1#p" | head -n 1
}

# apt with its state, cache and sources in a directory of its own.
private_apt() {
  apt-get -qq -o "Dir::State=$work/state" -o "Dir::State::status=$work/state/status" \
    -o "Dir::Cache=$work/cache" -o "Dir::Etc::sourcelist=$work/sources.list" \
    -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences=/dev/null \
    -o Dir::Etc::preferencesparts=/dev/null -o APT::Sandbox::User=root \
    -o APT::Update::Error-Mode=any -o Acquire::Languages=none "$@"
}

# Everything that QEMU needs down to its C library: for this apt nothing is installed.
download() {
  local from part
  from=$(mirror)
  [ -n "$from" ] || fail 'apt has no Debian source for this release' 'add one, as Debian has it'
  mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
  : >"$work/state/status"
  for part in "$suite" "$suite-backports"; do
    printf 'deb [arch=amd64 signed-by=%s] %s %s main\n' "$keyring" "$from" "$part"
  done >"$work/sources.list"
  private_apt update
  private_apt --no-install-recommends --download-only -y -t "$suite-backports" install qemu-system-x86
}

unpack() {
  local package
  for package in "$work"/cache/archives/*.deb; do
    dpkg-deb --extract "$package" "$work/root"
  done
  rm -rf "$work/root/usr/share/"{doc,man,locale}
}

# Its own loader finds its own libraries, whatever the machine's are.
write_launcher() {
  local root=$1
  mkdir -p "$work/root/bin"
  cat >"$work/root/bin/qemu-system-x86_64" <<EOF
#!/bin/sh
QEMU_MODULE_DIR='$root/usr/lib/x86_64-linux-gnu/qemu' exec \\
  '$root/usr/lib64/ld-linux-x86-64.so.2' --library-path '$root/usr/lib/x86_64-linux-gnu' \\
  '$root/usr/bin/qemu-system-x86_64' -L '$root/usr/share/qemu' -L '$root/usr/share/seabios' "\$@"
EOF
  chmod 0755 "$work/root/bin/qemu-system-x86_64"
}

main() {
  (($# == 1)) || { sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
  local directory=$1
  mkdir -p "$(dirname "$directory")"
  exec 8>"$directory.lock"
  flock 8
  [ ! -d "$directory" ] || return 0
  [ -r "$keyring" ] || fail "there is no $keyring" 'install debian-archive-keyring'
  work=$(mktemp -d "$directory.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  chmod 0755 "$work"
  download
  unpack
  write_launcher "$directory"
  mv "$work/root" "$directory"
}

main "$@"
