#!/usr/bin/env bash
# Builds the enclave kernel, reproducibly, from Debian's linux-source-6.12 and the fragment beside
# this file. Prints progress on stderr and, as its last line on stdout, the directory with
# bzImage, vmlinux (stripped), kernel.config and build.json.
#
# The result is cached by the hash of all inputs: source archive, fragment, lock file, this script,
# compiler and linker. Two builds at the same time do not clash: the second waits for the first.
#
#   CLOISTER_KERNEL_SOURCE  the source archive (default /usr/src/linux-source-6.12.tar.xz)
#   CLOISTER_JOBS           parallel compilers (default: one per CPU)
#   XDG_CACHE_HOME          holds cloister/kernel/<hash> (default ~/.cache)
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC

readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly fragment=$here/enclave-kernel.config
readonly lock_file=$here/kernel.lock
readonly package=linux-source-6.12
readonly archive=${CLOISTER_KERNEL_SOURCE:-/usr/src/$package.tar.xz}
readonly jobs=${CLOISTER_JOBS:-$(nproc)}
readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/cloister/kernel
# Only the progress line depends on this count; 6.12 with our fragment compiles about as many.
readonly expected_objects=1060
readonly progress_seconds=5

work= # where a build takes place; removed however the script ends
trap '[[ -z $work ]] || rm -rf "$work"' EXIT

say() { printf 'kernel: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

sha256_of() { sha256sum "$1" | cut -d ' ' -f 1; }
compiler_version() { gcc --version | head -n 1; }
linker_version() { ld --version | head -n 1; }

check_tools() {
  local tool missing=()
  for tool in gcc ld make bc bison flex lz4 perl tar xz flock; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  ((${#missing[@]} == 0)) ||
    die "missing: ${missing[*]}; install build-essential bc bison flex libelf-dev lz4 xz-utils"
  [[ -r $archive ]] || die "no kernel source at $archive; install the package $package"
}

# The version the lock file names for an archive hash; empty when it is not among the locked ones.
locked_version() {
  awk -v package="$package" -v hash="$1" \
    '$1 == "source" && $2 == package && $4 == hash { print $3; exit }' "$lock_file"
}

installed_version() {
  dpkg-query --show --showformat='${Version}' "$package" 2>/dev/null || printf unknown
}

warn_unless_locked() {
  local version=$1 locked=$2
  [[ $locked == true ]] && return
  say '*********************************************************************************'
  say "source $version, $(compiler_version), $(linker_version):"
  say 'not what kernel.lock names. The kernel is built from the same configuration, but'
  say 'PCR0 and PCR1 of images made with it WILL DIFFER from the published measurements.'
  say '*********************************************************************************'
}

# true when source, compiler and linker are all as locked.
is_locked() {
  [[ -n $(locked_version "$1") ]] &&
    grep -qxF "compiler $(compiler_version)" "$lock_file" &&
    grep -qxF "linker $(linker_version)" "$lock_file" &&
    printf true || printf false
}

hash_inputs() {
  {
    printf '%s\n' "$1" "$(compiler_version)" "$(linker_version)"
    cat "$fragment" "$lock_file" "$here/build.sh"
  } | sha256sum | cut -c 1-32
}

# make with nothing from the caller's environment, and nothing of this machine in the result.
kernel_make() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent LC_ALL=C TZ=UTC \
    KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' KBUILD_BUILD_VERSION=1 \
    KBUILD_BUILD_USER=cloister KBUILD_BUILD_HOST=cloister \
    make ARCH=x86_64 "$@"
}

configure() {
  kernel_make tinyconfig &&
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C \
      scripts/kconfig/merge_config.sh -m .config "$fragment" &&
    kernel_make olddefconfig
}

# Kconfig drops what it cannot satisfy without a word, so compare every line of the fragment.
check_configuration() {
  local lost
  lost=$(awk '
    NR == FNR { set[$0] = 1; if (/^CONFIG_/) { sub(/=.*/, ""); on[$0] = 1 } next }
    /^CONFIG_.*=n$/ || /^# CONFIG_.* is not set$/ {
      name = $0; sub(/^# /, "", name); sub(/(=n| is not set)$/, "", name)
      if (name in on) print "  " $0
      next
    }
    /^CONFIG_/ && !($0 in set) { print "  " $0 }
  ' .config "$fragment")
  [[ -z $lost ]] || die "these lines of the fragment did not survive olddefconfig:
$lost"
}

# Ends with this script: it is killed when the compilers are done, and looks for itself otherwise.
report_progress() {
  local log=$1 start=$2
  while sleep "$progress_seconds" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
    say "$(grep -cE '^  (CC|AS) ' "$log" || true) of about $expected_objects objects, $((SECONDS - start)) s"
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
  cat >"$out/build.json" <<EOF
{
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
EOF
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
  local log=$work/log out=$work/out
  mkdir "$work/source" "$out"
  say "unpacking $archive"
  tar --extract --file "$archive" --directory "$work/source" --strip-components 1
  cd "$work/source"
  logged "$log" configure
  check_configuration
  say "compiling with $jobs jobs"
  compile "$log"
  cp arch/x86/boot/bzImage "$out/bzImage"
  strip --strip-all -o "$out/vmlinux" vmlinux
  cp .config "$out/kernel.config"
  chmod 644 "$out"/*
}

main() {
  check_tools
  local source_hash version locked key target
  source_hash=$(sha256_of "$archive")
  version=$(locked_version "$source_hash")
  version=${version:-$(installed_version)}
  locked=$(is_locked "$source_hash")
  warn_unless_locked "$version" "$locked"

  key=$(hash_inputs "$source_hash")
  target=$cache/$key
  mkdir -p "$cache"
  exec 9>"$cache/$key.lock"
  flock --nonblock 9 || { say 'another build of the same kernel is running; waiting'; flock 9; }
  if [[ ! -d $target ]]; then
    # We hold the lock, so a directory of this key is what a killed build left.
    rm -rf "$cache/.building-$key".*
    work=$(mktemp --directory "$cache/.building-$key.XXXXXX")
    (build_in_work 9>&-)
    write_build_record "$version" "$source_hash" "$locked" "$work/out"
    mv --no-target-directory "$work/out" "$target"
    say "built $version in $SECONDS s"
  fi
  printf '%s\n' "$target"
}

main
