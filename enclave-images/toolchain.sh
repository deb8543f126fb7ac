# The compilers that toolchain.lock names, so that agent, hello and kernels have the same bytes on Debian 12,
# Debian 13 and other distributions. Sourced by build.sh and kernel/build.sh.
#
# Where the locked Debian packages are installed, they are used as they are. Elsewhere they are downloaded,
# unpacked and run from where they lie: a program of Debian 12 runs on every newer C library. Nothing is
# installed, and no privileges are needed. All other tools, such as make and flex, are this machine's: they
# do not affect the result.
#
#   CLOISTER_TOOLCHAIN  pinned: use the unpacked packages even where the same ones are installed

readonly toolchain_directory=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly toolchain_lock=$toolchain_directory/toolchain.lock
# What the C compiler and binutils are called.
readonly pinned_programs=(cc gcc as ld ar nm objcopy objdump ranlib readelf strip lz4)

# are_installed PACKAGE...: whether all of them are, in the versions of the lock file.
are_installed() {
  local package
  [[ ${CLOISTER_TOOLCHAIN:-} != pinned ]] || return 1
  for package in "$@"; do
    grep -q "^package $package $(dpkg-query --show --showformat='${Version}' "$package" 2>/dev/null) " \
      "$toolchain_lock" || return
  done
}

# Prints the directory of the unpacked packages; its tools/ has a launcher for each program.
pinned_toolchain() {
  local tree
  tree=$("$toolchain_directory/debian/tree.sh" "$toolchain_lock") && tree=$(readlink -f "$tree") || return
  # Launchers name the tree where it lies: a cache that has moved gets new ones.
  grep -qsF "'$tree/usr/bin/" "$tree/tools/gcc" || { rm -rf "$tree/tools" && make_launchers "$tree"; } || return
  printf '%s\n' "$tree"
}

# A launcher gives its program the libraries it came with; the C library is this machine's.
make_launchers() {
  local tree=$1 program real new
  new=$(mktemp --directory "$tree/.tools.XXXXXX")
  chmod 755 "$new"
  for program in "${pinned_programs[@]}"; do
    real=$tree/usr/bin/$program
    [[ $program != *cc ]] || real=$tree/usr/bin/gcc-12
    cat >"$new/$program" <<END
#!/bin/bash
LD_LIBRARY_PATH='$tree/usr/lib/x86_64-linux-gnu' GCC_EXEC_PREFIX='$tree/usr/lib/gcc/' exec -a $program '$real' "\$@"
END
    chmod 755 "$new/$program"
  done
  # Of two builds at once, one finishes second.
  mv --no-target-directory "$new" "$tree/tools" 2>/dev/null || { rm -rf "$new"; [[ -d $tree/tools ]]; }
}

# Sets RUSTUP_TOOLCHAIN unless the locked Rust is the one in use; fails if it cannot be had.
use_locked_rust() {
  local version
  version=$(sed -n 's/^rust //p' "$toolchain_lock")
  [[ $(rustc --version) != "rustc $version "* ]] || return 0
  command -v rustup >/dev/null || return
  rustup run "$version" rustc --version >/dev/null 2>&1 ||
    rustup toolchain install "$version" --profile minimal --no-self-update >&2 || return
  export RUSTUP_TOOLCHAIN=$version
}
