#!/usr/bin/env bash
# Brings a fresh Debian 12 or 13 machine with Node 20 and Rust to where Cloister runs: Debian
# packages, npm packages, the guest kernel, the guest programs, the cards, our own build. With
# --test also what only the tests need, with --bench also the peers to measure against.
# Run it as often as you like: what is there is not done again. It changes no apt source.
# With --missing it does not look whether what is there is up to date.
set -euo pipefail
umask 022
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly cache="${XDG_CACHE_HOME:-$HOME/.cache}/cloister"
readonly stock_vsock_version=0.3.0
readonly gvisor_tap_vsock_version=0.8.9

# To run enclaves, and to build the kernel.
packages=(
  qemu-system-x86 swtpm util-linux
  linux-source-6.12 gcc make bc flex bison libelf-dev libssl-dev lz4 xz-utils binutils
)
# Second opinions, peers, a browser, and a compiler for libFuzzer.
test_packages=(g++ tpm2-tools openssl socat skopeo umoci buildah docker-registry attr cpio chromium curl python3 python3-venv)
# What the guests of the kernel's tests are made of.
test_packages+=(erofs-utils iptables podman crun)
# Shells whose completion is tried.
test_packages+=(zsh fish)
# To build AWS's reader and writer of images; a PKCS#11 token and its tool; keys in a TPM.
test_packages+=(pkgconf softhsm2 opensc tpm2-openssl)
# A store that several key brokers share.
test_packages+=(postgresql)
# Clients of a network: Redis is client and server in one program.
test_packages+=(redis-tools iputils-ping python3-requests)
# For the lab, a host with KVM, a TPM and UEFI in software: what makes its images and runs in it.
test_packages+=(squashfs-tools busybox-static kmod e2fsprogs iproute2 ovmf swtpm-tools systemd dbus-user-session)

say() { printf 'setup: %s\n' "$*" >&2; }

fail() {
  printf 'setup: %s\n' "$1" >&2
  printf 'What to do: %s\n' "$2" >&2
  exit 1
}

# step WHAT COMMAND...: says what is done and how long it took.
step() {
  local what=$1 begin=$SECONDS
  shift
  say "$what ..."
  "$@"
  say "$what: done in $((SECONDS - begin)) s"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -- "$@"; fi
}

check_node() {
  command -v node >/dev/null || fail 'node is missing' 'install Node.js 20.19 or later'
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    fail "Node.js $(node --version) is too old" 'install Node.js 20.19 or later'
}

check_cargo() {
  command -v cargo >/dev/null || fail 'cargo is missing' 'install Rust 1.92 or later, for example with rustup'
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    # shellcheck disable=SC2016 # the format is dpkg-query's
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
  done
}

# Checkouts take turns, as apt's lists have one user at a time.
install_packages() {
  command -v apt-get >/dev/null || fail 'this system is not Debian' "install by hand: ${packages[*]}"
  exec 8>"$cache/apt.lock"
  flock 8
  as_root apt-get -qq update
  # A daemon that a package starts must not keep the locks.
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y -o DPkg::Lock::Timeout=600 --no-install-recommends install "$@" >/dev/null 8>&- 9>&-
  exec 8>&-
}

# thrice COMMAND...: for downloads that a network may cut. What has come whole is not fetched again.
thrice() { "$@" || "$@" || "$@"; }

# npm writes node_modules/.package-lock.json when it has finished.
npm_packages_are_current() {
  [ node_modules/.package-lock.json -nt package-lock.json ] && [ node_modules/.package-lock.json -nt package.json ]
}

# What the lock file lists, and nothing else. package.json overrides cbor-extract (optional, and not used): some registries
# lack the builds of later versions, and npm writes a lock file without them that `npm ci` refuses.
install_npm_packages() {
  thrice npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  touch node_modules/.package-lock.json
}

# The card's peer. From a directory of its own: the flags of this workspace are not meant for it.
install_stock_vsock() {
  local root="$cache/vhost-device-vsock-$stock_vsock_version"
  mkdir -p "$root"
  [ -x "$root/bin/vhost-device-vsock" ] ||
    (cd "$root" && cargo install --quiet --locked --root "$root" --version "$stock_vsock_version" vhost-device-vsock)
  install -m 0755 -C "$root/bin/vhost-device-vsock" build/bin/vhost-device-vsock
}

# The network's peer.
install_gvisor_tap_vsock() {
  local root="$cache/gvisor-tap-vsock-$gvisor_tap_vsock_version" module=github.com/containers/gvisor-tap-vsock
  [ -x "$root/vm" ] || GOBIN=$root CGO_ENABLED=0 go install "$module"/cmd/{gvproxy,vm}@"v$gvisor_tap_vsock_version"
  install -m 0755 -C "$root/gvproxy" build/bin/gvproxy
  install -m 0755 -C "$root/vm" build/bin/gvforwarder
}

# A program around a crate of AWS, for tests; kept until its sources change.
install_oracle() {
  local name=$1 crate=$PWD/test/oracles/$1 sum root
  sum=$(cat "$crate"/Cargo.{toml,lock} "$crate"/src/*.rs | sha256sum | cut -c1-16)
  root="$cache/$name-$sum"
  mkdir -p "$root"
  # Checkouts share it.
  exec 8>"$root/lock"
  flock 8
  if [ ! -x "$root/$name" ]; then
    # From a directory of its own: the flags of this workspace are not meant for it.
    (cd "$root" && CARGO_TARGET_DIR="$root/target" cargo build --quiet --locked --release --manifest-path "$crate/Cargo.toml")
    mv "$root/target/release/$name" "$root/"
    rm -rf "$root/target"
  fi
  exec 8>&-
  install -m 0755 -C "$root/$name" "build/bin/$name"
}

# QEMU 10.2 or later, for what only such a one can do. It runs as a user of its own, who cannot look
# into root's home.
install_recent_qemu() {
  local directory="$cache/qemu-backports"
  [ "$(id -u)" -ne 0 ] || directory=/var/cache/cloister/qemu-backports
  bash scripts/recent-qemu.sh "$directory"
  ln -sfn "$directory/bin/qemu-system-x86_64" build/bin/recent-qemu
}

# The guests of the tests, which would build them one by one while the machine is busy.
build_test_guests() {
  local name
  for name in aws-init facilities hyper-client net-load nsm-check probe; do
    cargo build --quiet --locked --release --package "$name"
  done
  cargo build --quiet --locked --release --package cloister-agent --example probe
}

# Debian's packages for the example services, and their trees. A mirror that has moved on is for the test to report.
fetch_example_packages() {
  local lock
  for lock in enclave-images/*/packages.lock; do
    bash enclave-images/debian/tree.sh "$lock" >/dev/null || true
  done
}

# make_venv DIRECTORY PACKAGE...: with these packages of PyPI, once for all checkouts.
make_venv() {
  local root=$1
  shift
  exec 8>"$root.lock"
  flock 8
  if [ ! -e "$root/complete" ]; then
    rm -rf "$root"
    python3 -m venv "$root"
    thrice "$root/bin/pip" install --quiet --disable-pip-version-check "$@"
    touch "$root/complete"
  fi
  exec 8>&-
}

# Clients of AWS KMS that nobody here wrote: boto3, the AWS CLI and the AWS Encryption SDK, in versions
# that share a botocore.
install_python_clients() {
  make_venv "$cache/python-clients-2" 'awscli==1.46.3' 'boto3==1.44.8' 'aws-encryption-sdk==4.0.7'
  ln -sfn "$cache/python-clients-2" build/python-clients
}

# The key broker's peer: moto's server.
install_moto() {
  make_venv "$cache/moto-1" 'moto[server]==5.2.5'
  ln -sfn "$cache/moto-1" build/moto
}

# The kernel of the lab's host.
install_lab_kernel() {
  bash scripts/lab-kernel.sh "$cache/lab-kernel"
  ln -sfn "$cache/lab-kernel" build/lab-kernel
}

# The versions of Node.js beside the oldest one.
install_node_versions() {
  bash scripts/node-versions.sh "$cache/node-versions"
  ln -sfn "$cache/node-versions" build/node-versions
}

# Debian 13's Node.js, where images are built too.
install_debian_13() {
  bash scripts/debian-13.sh "$cache/debian-13"
  ln -sfn "$cache/debian-13" build/debian-13
}

# The cards, what runs parent programs, and what writes root file systems, with the zstd that Cargo.lock
# names and no other; for the cards' tests also the guest that the vsock card's run.
build_cards() {
  check_cargo
  env -u ZSTD_SYS_USE_PKG_CONFIG cargo build --quiet --locked --release --package cloister-vsock \
    --package cloister-nsm --package cloister-network --package cloister-parent --package cloister-squashfs "$@"
  install -m 0755 -C target/x86_64-unknown-linux-gnu/release/cloister-{vsock,nsm,network,parent,squashfs} build/bin/
}

install_missing_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] || step "install ${missing[*]}" install_packages "${missing[@]}"
}

build_guest_parts() {
  check_cargo
  bash enclave-images/build.sh build/blobs >&2
}

# provide WHAT FILE... -- COMMAND...: a step that is taken if one of the files is missing.
provide() {
  local what=$1 file files=()
  shift
  while [ "$1" != -- ]; do
    files+=("$1")
    shift
  done
  shift
  for file in "${files[@]}"; do
    [ ! -e "$file" ] || continue
    step "$what ($file is missing)" "$@"
    return
  done
}

# What it takes to run enclaves, if it is not there.
provide_missing() {
  export CLOISTER_KERNEL_FLAVOURS=${CLOISTER_KERNEL_FLAVOURS:-standard}
  provide 'install npm packages' node_modules/.package-lock.json -- install_npm_packages
  provide 'guest kernel, agent and examples' build/blobs/{bzImage,init,companion,cmdline} \
    build/{hello/rootfs/hello,signer/rootfs/signer} -- build_guest_parts
  provide 'the cards' build/bin/cloister-{vsock,nsm,network,parent,squashfs} -- build_cards --bins
  provide 'compile TypeScript' dist/index.js -- npx --no-install tsc -b
  provide 'bundle the programs' bundle/{cli,keeper}/main.js -- node scripts/bundle.mjs
  say 'everything is there; `npm run setup` also rebuilds what is older than its sources'
}

main() {
  local purpose=${1:-} card_parts=(--bins) flavours=standard
  if [ -n "$purpose" ] && [ "$purpose" != --missing ]; then
    packages+=("${test_packages[@]}")
    card_parts+=(--examples)
    flavours='standard minimal'
    command -v go >/dev/null || packages+=(golang-go)
  fi
  mkdir -p build/bin "$cache"
  exec 9>build/.setup.lock
  flock 9
  check_node
  install_missing_packages
  if [ "$purpose" = --missing ]; then
    provide_missing
    return
  fi
  check_cargo
  npm_packages_are_current || step 'install npm packages' install_npm_packages
  export CLOISTER_KERNEL_FLAVOURS=${CLOISTER_KERNEL_FLAVOURS:-$flavours}
  # Each program of a guest is built by itself, and ends with one busy processor: the others have their own directory.
  # In a process group, which does not outlive the set-up: bash has its jobs ignore Ctrl-C otherwise.
  set -m
  step "guest kernel ($CLOISTER_KERNEL_FLAVOURS), agent and example" bash enclave-images/build.sh build/blobs >&2 &
  guest_parts=$!
  set +m
  trap 'kill -- "-$guest_parts" 2>/dev/null || :' EXIT
  step 'the cards, cloister-parent and cloister-squashfs' build_cards "${card_parts[@]}"
  [ "$purpose" != --test ] || step 'guests of the tests' build_test_guests
  wait "$guest_parts"
  trap - EXIT
  [ "$purpose" != --test ] || step 'packages of the example services' fetch_example_packages
  [ -z "$purpose" ] || step 'QEMU of Debian backports, for tests' install_recent_qemu
  [ -z "$purpose" ] || step "AWS's reader and writer of images, for tests" install_oracle aws-eif
  [ "$purpose" != --test ] || step "AWS's SDK for Rust, for tests" install_oracle aws-sdk-rust
  [ -z "$purpose" ] || step "kernel of the lab's host" install_lab_kernel
  [ "$purpose" != --test ] || step 'other versions of Node.js, for tests' install_node_versions
  [ "$purpose" != --test ] || step "Debian 13's Node.js, for tests" install_debian_13
  [ -z "$purpose" ] || step 'boto3 and the AWS CLI, for tests' install_python_clients
  [ "$purpose" != --bench ] || step "moto's server" install_moto
  [ "$purpose" != --bench ] || step "vhost-device-vsock $stock_vsock_version" install_stock_vsock
  [ "$purpose" != --bench ] || step "gvisor-tap-vsock $gvisor_tap_vsock_version" install_gvisor_tap_vsock
  step 'compile TypeScript' npx --no-install tsc -b
  step 'bundle the programs' node scripts/bundle.mjs
}

main "$@"
