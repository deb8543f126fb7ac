#!/usr/bin/env bash
# Builds one flavour of the enclave kernel, reproducibly, from Debian's linux-source-6.12 and the
# fragments beside this file:
#
#   enclave-images/kernel/build.sh standard|minimal
#
# Prints progress on stderr and, as its last line on stdout, the directory with bzImage, vmlinux
# (stripped), kernel.config and build.json.
#
# The source is the first that kernel.lock names: installed, or downloaded (source.lock). If the mirror no
# longer has it, another source of kernel.lock is used. A source that kernel.lock does not name is refused:
# images would be measured differently from the published ones, and nobody here has looked at it.
# CLOISTER_KERNEL_UNLOCKED=1 builds the installed one anyway. Compiler and linker: see ../toolchain.sh.
#
# The result is cached by the hash of all inputs: source archive, fragments, recipe.sh, compiler and
# linker. A kernel in the cache that was made of the first source is used even when the installed source
# has been updated since. Of two builds of one kernel the second waits.
#
#   CLOISTER_KERNEL_SOURCE    the source archive (default: see above)
#   CLOISTER_KERNEL_UNLOCKED  1: build from a source that kernel.lock does not name
#   CLOISTER_JOBS             parallel compilers (default: one per CPU)
#   XDG_CACHE_HOME            holds cloister/kernel/<hash> (default ~/.cache)
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC

readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly lock_file=$here/kernel.lock
readonly package=linux-source-6.12
archive=${CLOISTER_KERNEL_SOURCE:-/usr/src/$package.tar.xz}
readonly jobs=${CLOISTER_JOBS:-$(nproc)}
readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/cloister/kernel
readonly progress_seconds=5
# Only the progress line depends on these counts.
declare -Ar expected_objects=([minimal]=1060 [standard]=1560)

work= # where a build takes place; removed however the script ends
trap '[[ -z $work ]] || rm -rf "$work"' EXIT

# shellcheck source=recipe.sh
source "$here/recipe.sh"
# shellcheck source=../toolchain.sh
source "$(dirname "$here")/toolchain.sh"

say() { printf 'kernel: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

sha256_of() { sha256sum "$1" | cut -d ' ' -f 1; }
compiler_version() { gcc --version | head -n 1; }
linker_version() { ld --version | head -n 1; }
lz4_version() { lz4 --version | sed -n 's/.* v\([0-9.]*\),.*/\1/p'; }

# The fragments of a flavour, in order: of two lines about one option the later one counts.
fragments_of() {
  case $1 in
    minimal) printf '%s\n' minimal.config ;;
    standard) printf '%s\n' minimal.config standard.config ;;
    *) return 1 ;;
  esac
}

check_tools() {
  local tool missing=()
  for tool in gcc ld make bc bison flex lz4 perl tar xz flock; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  ((${#missing[@]} == 0)) ||
    die "missing: ${missing[*]}; install build-essential bc bison flex libelf-dev lz4 xz-utils"
}

# locked NAME: what the lock file says after a name; for a source its versions.
locked_value() { sed -n "s/^$1 //p" "$lock_file"; }
locked_sources() { awk -v package="$package" '$1 == "source" && $2 == package { print $4 }' "$lock_file"; }
locked_versions() { awk -v package="$package" '$1 == "source" && $2 == package { print $3 }' "$lock_file"; }

# The version that the lock file names for an archive's hash; empty when it names none.
locked_version() {
  awk -v package="$package" -v hash="$1" \
    '$1 == "source" && $2 == package && $4 == hash { print $3; exit }' "$lock_file"
}

installed_version() {
  dpkg-query --show --showformat='${Version}' "$package" 2>/dev/null || printf unknown
}

# key SOURCE_HASH COMPILER LINKER: the name of a kernel in the cache. Remarks in fragments do not count.
key() {
  {
    printf '%s\n' "$@"
    grep -hE '^(# )?CONFIG_' "${fragments[@]/#/$here/}"
    cat "$here/recipe.sh"
  } | sha256sum | cut -c 1-32
}

# A kernel in the cache that was made of the first source of the lock file, whatever is installed today.
find_locked_kernel() {
  local hash directory
  hash=$(locked_sources | head -n 1)
  directory=$cache/$(key "$hash" "$(locked_value compiler)" "$(locked_value linker)")
  [[ ! -d $directory ]] || printf '%s\n' "$directory"
}

# Downloads the first source of the lock file, unless it is installed or the user has chosen another one.
choose_archive() {
  local wanted tree
  [[ -z ${CLOISTER_KERNEL_SOURCE:-} && ${CLOISTER_KERNEL_UNLOCKED:-} != 1 ]] || return 0
  wanted=$(locked_sources | head -n 1)
  [[ ! -r $archive || $(sha256_of "$archive") != "$wanted" ]] || return 0
  tree=$("$(dirname "$here")/debian/tree.sh" "$here/source.lock") || return 0
  archive=$tree/usr/src/$package.tar.xz
}

check_archive() {
  [[ -r $archive ]] && return
  say "cannot read the kernel source $archive"
  say "What to do: install the package $package, or name another archive in CLOISTER_KERNEL_SOURCE."
  exit 1
}

# What a newcomer sees whose linux-source is newer than ours, so it says how to go on.
refuse_source() {
  cat >&2 <<END
kernel: $archive (version $(installed_version)) is not a source that kernel.lock names
kernel:   SHA-256 of the archive: $1
kernel:   versions in kernel.lock: $(locked_versions | paste -sd ' ')
kernel: A kernel built from it would work, but PCR0 and PCR1 of your images would differ from the
kernel: published measurements.
What to do: to build it anyway, and go by the measurements of your own builds, set
CLOISTER_KERNEL_UNLOCKED=1:
  CLOISTER_KERNEL_UNLOCKED=1 npm start
For the published measurements, fetch a version that kernel.lock names (Debian's archive, or
snapshot.debian.org when it is no longer there) and give its linux-source-6.12.tar.xz in
CLOISTER_KERNEL_SOURCE.
END
  exit 1
}

warn_of_other_measurements() {
  say '*********************************************************************************'
  say "source $1, $(compiler_version), $(linker_version):"
  say 'not what kernel.lock names. The kernel has the same configuration, but PCR0 and'
  say 'PCR1 of images made with it WILL DIFFER from the published measurements.'
  say '*********************************************************************************'
}

toolchain_is_locked() {
  [[ $(compiler_version) == "$(locked_value compiler)" && $(linker_version) == "$(locked_value linker)" &&
    $(lz4_version) == "$(locked_value lz4)" ]]
}

# Puts the locked compiler, linker and compressor first in the path, also in that of the recipe, unless they
# are this machine's. The recipe itself stays as it is: kernels in the cache are named after its bytes.
use_locked_toolchain() {
  local tree
  [[ ${CLOISTER_TOOLCHAIN:-} == pinned ]] || ! toolchain_is_locked || return 0
  tree=$(pinned_toolchain) || return 0
  PATH=$tree/tools:$PATH
  # shellcheck disable=SC1090 # recipe.sh, with one more directory in its path
  source <(sed "s|PATH=/usr/sbin|PATH=$tree/tools:/usr/sbin|" "$here/recipe.sh")
}

# Kconfig drops what it cannot satisfy without a word, so compare the last line of each option.
check_configuration() {
  local lost
  lost=$(cat "$@" | awk '
    /^CONFIG_/ { name = $0; sub(/=.*/, "", name); wanted[name] = /=n$/ ? "" : $0 }
    /^# CONFIG_.* is not set$/ { wanted[$2] = "" }
    END { for (name in wanted) print name "\t" wanted[name] }
  ' | awk -F '\t' '
    NR == FNR { if (/^CONFIG_/) { name = $0; sub(/=.*/, "", name); actual[name] = $0 } next }
    actual[$1] != $2 { print "  " $1 ": wanted " ($2 ? $2 : "off") ", is " (actual[$1] ? actual[$1] : "off") }
  ' .config -)
  [[ -z $lost ]] || die "these lines of the fragments did not survive olddefconfig:
$lost"
}

# Ends with this script: it is killed when the compilers are done, and looks for itself otherwise.
report_progress() {
  local log=$1 start=$2
  while sleep "$progress_seconds" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
    say "$flavour: $(grep -cE '^  (CC|AS) ' "$log" || true) of about ${expected_objects[$flavour]} objects, $((SECONDS - start)) s"
  done
}

# Runs "$@" with its output in the log; shows the log's end when it fails.
logged() {
  local log=$1
  shift
  "$@" >>"$log" 2>&1 && return
  say "failed: $*; the last lines of its output:"
  tail -n 40 "$log" >&2
  return 1
}

write_build_record() {
  local version=$1 source_hash=$2 locked=$3 out=$4
  cat >"$out/build.json" <<END
{
  "flavour": "$flavour",
  "package": "$package",
  "version": "$version",
  "sourceSha256": "$source_hash",
  "compiler": "$(compiler_version)",
  "linker": "$(linker_version)",
  "locked": $locked,
  "bzImageSha256": "$(sha256_of "$out/bzImage")",
  "vmlinuxSha256": "$(sha256_of "$out/vmlinux")",
  "configSha256": "$(sha256_of "$out/kernel.config")"
}
END
}

compile() {
  local log=$1 reporter status=0
  report_progress "$log" "$SECONDS" &
  reporter=$!
  logged "$log" kernel_make -j"$jobs" bzImage vmlinux || status=$?
  kill "$reporter" 2>/dev/null || true
  wait "$reporter" 2>/dev/null || true
  return "$status"
}

# Builds in $work (which holds nothing yet) and leaves the kernel's three files in $work/out.
build_in_work() {
  local log=$work/log out=$work/out paths=("${fragments[@]/#/$here/}")
  mkdir "$work/source" "$out"
  say "unpacking $archive"
  tar --extract --file "$archive" --directory "$work/source" --strip-components 1
  cd "$work/source"
  logged "$log" configure "${paths[@]}"
  check_configuration "${paths[@]}"
  say "compiling $flavour with $jobs jobs"
  compile "$log"
  collect "$out"
}

# Builds the kernel of this machine's source and toolchain, unless it is in the cache.
build() {
  local source_hash version locked=false target
  check_tools
  choose_archive
  check_archive
  source_hash=$(sha256_of "$archive")
  version=$(locked_version "$source_hash")
  [[ -z $version ]] || use_locked_toolchain
  if [[ -n $version ]] && toolchain_is_locked; then locked=true; fi
  [[ -n $version || ${CLOISTER_KERNEL_UNLOCKED:-} == 1 ]] || refuse_source "$source_hash"
  version=${version:-$(installed_version)}
  [[ $locked == true ]] || warn_of_other_measurements "$version"

  target=$cache/$(key "$source_hash" "$(compiler_version)" "$(linker_version)")
  mkdir -p "$cache"
  exec 9>"$target.lock"
  flock --nonblock 9 || { say "another build of the $flavour kernel is running; waiting"; flock 9; }
  if [[ ! -d $target ]]; then
    # We hold the lock, so a directory of this key is what a killed build left.
    rm -rf "$cache/.building-${target##*/}".*
    work=$(mktemp --directory "$cache/.building-${target##*/}.XXXXXX")
    (build_in_work 9>&-)
    write_build_record "$version" "$source_hash" "$locked" "$work/out"
    mv --no-target-directory "$work/out" "$target"
    say "built $flavour of $version in $SECONDS s"
  fi
  printf '%s\n' "$target"
}

main() {
  local found=
  [[ -n ${CLOISTER_KERNEL_SOURCE:-} ]] || found=$(find_locked_kernel)
  if [[ -n $found ]]; then printf '%s\n' "$found"; else build; fi
}

flavour=${1:-}
if (($# != 1)) || ! fragments_of "$flavour" >/dev/null; then
  say 'usage: enclave-images/kernel/build.sh standard|minimal'
  exit 64
fi
readonly flavour
mapfile -t fragments < <(fragments_of "$flavour")
readonly fragments
main
