#!/usr/bin/env bash
# Builds the image of an example and prints its measurements, which are those in its measurements.json:
#
#   enclave-images/build-example.sh hello|node-service|python-service <directory>
#
# writes <directory>/<example>.eif. Kernel, agent and hello are those that build.sh has put into build/.
# The services consist of Debian's packages, in the versions of their packages.lock, and of their app,
# with the npm packages of its own lock file; their root file system is made in <directory>/<example>.
set -euo pipefail
umask 022
export LC_ALL=C

readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly root=$(dirname "$here")

cloister() { node "$root/bundle/cli/main.js" "$@"; }

install_npm_packages() {
  (cd "$1" && npm ci --ignore-scripts --omit=dev --os=linux --cpu=x64 --loglevel=error --no-audit --no-fund >&2)
  # These depend on the version of npm.
  rm -rf "$1/node_modules/"{.package-lock.json,.bin}
}

# service_rootfs EXAMPLE DIRECTORY: the app's files are as git keeps them, executable or not.
service_rootfs() {
  local source=$here/$1 target=$2 tree
  tree=$("$here/debian/tree.sh" "$source/packages.lock")
  rm -rf "$target"
  cp --archive --reflink=auto "$tree" "$target"
  cp -r "$source/app" "$target/app"
  rm -rf "$target/app/"{node_modules,__pycache__}
  chmod -R u=rwX,go=rX "$target/app"
  [[ ! -e $target/app/package-lock.json ]] || install_npm_packages "$target/app"
}

main() {
  (($# == 2)) || { sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
  mkdir -p "$2"
  local example=$1 directory
  directory=$(cd "$2" && pwd)
  if [[ $example == hello ]]; then
    cloister build-enclave --quiet --rootfs "$root/build/hello/rootfs" --entrypoint /hello --name hello \
      --output-file "$directory/hello.eif"
  else
    service_rootfs "$example" "$directory/$example"
    cloister build-enclave --quiet --manifest "$here/$example/cloister.yaml" --rootfs "$directory/$example" \
      --output-file "$directory/$example.eif"
  fi
}

main "$@"
