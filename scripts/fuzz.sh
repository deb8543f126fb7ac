#!/usr/bin/env bash
# Fuzzes the cards: each target of cards/fuzz, or those named, for so many seconds.
#   scripts/fuzz.sh SECONDS [TARGET...]
#   scripts/fuzz.sh --clippy
# Stable Rust has libFuzzer's instrumentation behind its code generation flags, so this needs neither
# a nightly toolchain nor cargo-fuzz (which works on the same targets). Corpora are kept in
# build/fuzz; an input that fails is left there, and its place is printed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly targets=(packet connect_line arguments channel guest_queue device nsm_queue nsm_channel netd
  egress_policy dns network_wire socks arrival)
readonly crate=cards/fuzz
readonly host=x86_64-unknown-linux-gnu
readonly state=build/fuzz

# What `cargo fuzz run --sanitizer none` passes.
export RUSTFLAGS='--cfg fuzzing -Cpasses=sancov-module
  -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares'
RUSTFLAGS=${RUSTFLAGS//$'\n'/ }

# cargo_fuzz COMMAND [ARGUMENT...]: cargo with its own target directory, as the flags differ.
cargo_fuzz() {
  local command=$1
  shift
  cargo "$command" --quiet --locked --release --manifest-path "$crate/Cargo.toml" \
    --target "$host" --target-dir target/fuzz "$@"
}

statistic() { sed -n "s/^stat::$1: *//p" "$2"; }

# fuzz SECONDS TARGET: one process; fails with the end of what it said.
fuzz() {
  local seconds=$1 target=$2 log="$state/$2.log" verdict=ok
  local corpus="$state/corpus/$target" seeds="$crate/seeds/$target"
  mkdir -p "$corpus"
  local flags=(-max_total_time="$seconds" -rss_limit_mb=512 -timeout=20 -print_final_stats=1
    -artifact_prefix="$state/$target-")
  local places=("$corpus")
  [ ! -d "$seeds" ] || places+=("$seeds")
  # The hang guard is for a fuzzer that hangs itself.
  TMPDIR=$scratch timeout $((seconds + 120)) "target/fuzz/$host/release/$target" \
    "${flags[@]}" "${places[@]}" >"$log" 2>&1 || verdict=FAILED
  printf 'fuzz: %s: %s (%s runs, coverage %s, peak %s MiB)\n' "$target" "$verdict" \
    "$(statistic number_of_executed_units "$log")" \
    "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)" \
    "$(statistic peak_rss_mb "$log")"
  [ "$verdict" = ok ] || { tail -n 40 "$log" >&2 && return 1; }
}

main() {
  if [ "$1" = --clippy ]; then
    cargo_fuzz clippy -- -D warnings
    return
  fi
  local seconds=$1 failed=0 target
  shift
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  mkdir -p "$state"
  cargo_fuzz build
  for target in "${@:-${targets[@]}}"; do
    fuzz "$seconds" "$target" || failed=1
  done
  return "$failed"
}

main "$@"
