#!/usr/bin/env bash
# Debian 13's Node.js and what it needs, unpacked from the packages of today: a root for tests that build
# images on another Debian. Nothing is installed, no package's script is run.
#
#   scripts/debian-13.sh <directory>          makes the link <directory>/tree
#   scripts/debian-13.sh <directory> CMD...   runs a command in such a root, at the present directory: /usr
#                                             is Debian 13's, /etc has users and groups only
#
# What is there is left alone. Its mounts end with the command.
set -euo pipefail
umask 022

readonly repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

make_tree() {
  mkdir -p "$directory"
  exec 8>"$directory/lock"
  flock 8
  [[ ! -x $directory/tree/usr/bin/node ]] || return 0
  local lock=$directory/packages.lock tree
  printf '%s\n' 'suite trixie' 'want nodejs util-linux coreutils dash bash base-files openssl' >"$lock"
  bash "$repository/enclave-images/debian/tree.sh" --renew "$lock"
  tree=$(bash "$repository/enclave-images/debian/tree.sh" "$lock")
  ln -sfn "$tree" "$directory/tree"
}

# In a mount namespace of its own; without root also in a user namespace, whose root is this user.
enter() {
  local flags=(--mount)
  [[ $(id -u) -eq 0 ]] || flags+=(--map-root-user)
  # shellcheck disable=SC2016 # for the shell in the namespace
  exec unshare "${flags[@]}" sh -c '
    set -e
    tree=$1 root=$2 here=$PWD
    shift 2
    mount -t tmpfs root "$root"
    mkdir "$root/usr" "$root/etc"
    mount --bind "$tree/usr" "$root/usr"
    for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
    cp /etc/passwd /etc/group "$root/etc/"
    for place in /*; do
      [ -d "$place" ] && [ ! -e "$root$place" ] && [ ! -L "$place" ] || continue
      mkdir "$root$place"
      mount --rbind "$place" "$root$place"
    done
    cd "$root"
    exec chroot . sh -c "cd \"\$0\" && exec \"\$@\"" "$here" "$@"
  ' sh "$(readlink -f "$directory/tree")" "$directory/root" "$@"
}

(($# > 0)) || { sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
mkdir -p "$1"
readonly directory=$(cd "$1" && pwd)
shift
make_tree
(($# == 0)) || { mkdir -p "$directory/root" && enter "$@"; }
