#!/usr/bin/env bash
# Unpacks the Debian packages that a lock file names, and prints the directory that they are in:
#
#   enclave-images/debian/tree.sh <lock>           the tree, from the cache if it is there
#   enclave-images/debian/tree.sh --renew <lock>   write the versions of today into the lock file
#
# A lock file has the lines `suite NAME`, `want PACKAGE...` (together with their dependencies, unless a line
# says `without dependencies`) and, for each package of the tree, `package NAME VERSION SHA-256`. The same
# lock file gives the same tree on every machine and for every user: no package's script is run, and nothing
# is installed.
#
# The packages come from the mirror that apt is set up with, by a private apt, which checks signatures by
# Debian's keyring. A mirror keeps one version of each package. If it has another one than the lock file,
# this script names the packages and exits with status 3.
#
#   CLOISTER_DEBIAN_MIRRORS  URLs of other mirrors, separated by spaces: an archive of old packages, say
#   XDG_CACHE_HOME           holds cloister/debian/<hash of the lock file's packages> (default ~/.cache)
set -euo pipefail
umask 022
export LC_ALL=C

readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/cloister/debian
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# Raised when the same packages are unpacked in another way.
readonly format=1

work= # private apt and the tree while it is made; removed however the script ends
trap '[[ -z $work ]] || rm -rf "$work"' EXIT

fail() {
  printf 'debian-tree: %s\n' "$1" >&2
  printf 'What to do: %s\n' "$2" >&2
  exit "${3:-1}"
}

# values KEY: the rest of the lock file's lines that begin with it.
values() { sed -n "s/^$1 //p" "$lock"; }

# Each mirror with the suites of the release that it may have: Debian's own, and its security updates, which
# lie beside it, also where apt does not read them.
sources() {
  local codename suite base
  suite=$(values suite)
  if [[ -n ${CLOISTER_DEBIAN_MIRRORS:-} ]]; then
    for base in $CLOISTER_DEBIAN_MIRRORS; do printf '%s %s\n' "$base" "$suite" "$base" "$suite-security"; done
    return
  fi
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  apt-get update --print-uris |
    sed -n "s#^'\(.*\)/dists/$codename\(-security\|-updates\|\)/InRelease'.*#\1 $suite\2#p" |
    sed "s#^\(.*/debian\) $suite\$#&\n\1-security $suite-security#" | sort -u
}

# apt with its state, cache and sources in a directory of its own; for it nothing is installed.
private_apt() {
  local program=$1
  shift
  "$program" -qq -o "Dir::State=$work/state" -o "Dir::State::status=$work/state/status" \
    -o "Dir::Cache=$work/cache" -o "Dir::Etc::sourcelist=$work/sources.list" \
    -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences=/dev/null \
    -o Dir::Etc::preferencesparts=/dev/null -o APT::Sandbox::User=root -o APT::Architecture=amd64 \
    -o APT::Architectures::=amd64 -o Acquire::Languages=none \
    -o Acquire::ForceHash=SHA256 "$@"
}

set_up_apt() {
  local base part
  [[ -r $keyring ]] || fail "there is no $keyring" 'install debian-archive-keyring'
  mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
  : >"$work/state/status"
  while read -r base part; do
    printf 'deb [arch=amd64 signed-by=%s] %s %s main\n' "$keyring" "$base" "$part"
  done < <(sources) >"$work/sources.list"
  [[ -s $work/sources.list ]] || fail 'apt has no Debian source for this release' 'add one, as Debian has it'
  # A mirror without one of the suites, or one that does not answer, is noticed by what is missing.
  private_apt apt-get update >&2 || true
}

# Name, version and SHA-256 of what apt would fetch for these.
resolve() {
  private_apt apt-get --print-uris --no-install-recommends -y install "$@" |
    sed -n "s#^'[^']*' \([^_]*\)_\([^_]*\)_[^ ]* [0-9]* SHA256:\([0-9a-f]*\)\$#\1 \2 \3#p" |
    sed 's/%3a/:/' | sort
}

# Says which packages the mirror no longer has as they are locked, if there are any.
check_offer() {
  local name version sum now moved=0 names
  mapfile -t names < <(values package | cut -d ' ' -f 1)
  private_apt apt-cache madison "${names[@]}" 2>/dev/null | tr -d ' ' >"$work/offers"
  while read -r name version sum; do
    now=$(awk -F '|' -v name="$name" '$1 == name { print $2 }' "$work/offers" | sort -u | paste -sd ' ')
    [[ " $now " != *" $version "* ]] || continue
    printf 'debian-tree: %s: locked %s, the mirror has %s\n' "$name" "$version" "${now:-none}" >&2
    moved=1
  done < <(values package)
  ((moved == 0)) || fail "the mirror has other versions than $lock" "update it with \`$0 --renew $lock\`, \
and then what is measured of it; or name a mirror that keeps old packages in CLOISTER_DEBIAN_MIRRORS" 3
}

download() {
  local name version sum names=()
  while read -r name version sum; do names+=("$name=$version"); done < <(values package)
  (cd "$work/cache/archives" && private_apt apt-get download "${names[@]}" >&2) && return
  check_offer
  fail 'the packages could not be downloaded' 'see what apt says above'
}

# Nothing is unpacked that the lock file does not name by its hash.
check_hashes() {
  local file
  while read -r sum file; do
    grep -q "^package .* $sum\$" "$lock" ||
      fail "$(basename "$file") is not the file that $lock names" 'compare its contents with the package of that version'
  done < <(sha256sum "$work"/cache/archives/*.deb)
}

# Documentation and translations are left out. Directories that Debian has merged into /usr are links.
unpack() {
  local package name
  mkdir -p "$work/tree/usr/"{bin,sbin,lib,lib64}
  for name in bin sbin lib lib64; do ln -s "usr/$name" "$work/tree/$name"; done
  for package in "$work"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar --extract --directory "$work/tree" --keep-directory-symlink \
      --no-same-owner --preserve-permissions --exclude './usr/share/doc/*' --exclude './usr/share/man/*' \
      --exclude './usr/share/locale/*' --exclude './usr/share/info/*' --exclude './usr/share/lintian/*'
  done
  chmod 0755 "$work/tree"
}

begin() {
  mkdir -p "$cache"
  work=$(mktemp --directory "$cache/.work.XXXXXX")
  set_up_apt
}

renew() {
  begin
  local wanted
  read -ra wanted <<<"$(values want | paste -sd ' ')"
  resolve "${wanted[@]}" >"$work/packages"
  if [[ $(values without) == dependencies ]]; then
    awk -v wanted=" ${wanted[*]} " 'index(wanted, " " $1 " ")' "$work/packages" >"$work/alone"
    mv "$work/alone" "$work/packages"
  fi
  [[ -s $work/packages ]] || fail "apt finds no packages for: ${wanted[*]}" 'see what apt says above'
  { grep -v '^package ' "$lock"; sed 's/^/package /' "$work/packages"; } >"$work/lock"
  cp "$work/lock" "$lock"
}

tree() {
  local target
  target=$cache/$({ echo "$format"; values package; } | sha256sum | cut -c 1-32)
  if [[ ! -d $target ]]; then
    mkdir -p "$cache"
    exec 9>"$target.lock"
    flock 9
    if [[ ! -d $target ]]; then
      begin
      download
      check_hashes
      unpack
      mv --no-target-directory "$work/tree" "$target"
    fi
    exec 9>&-
  fi
  printf '%s\n' "$target"
}

action=tree
[[ ${1:-} != --renew ]] || { action=renew; shift; }
(($# == 1)) && [[ -f $1 ]] || { sed -n '2,19s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
readonly lock=$1
"$action"
