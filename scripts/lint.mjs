// Every static check, one after the other; all of them run even when one fails.
// With a file name as argument, the counts are written there as JSON.

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'

const checks = [
  [
    'the lock file is complete',
    'npm ci --dry-run --offline --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null',
  ],
  ['build', 'npx --no-install tsc -b'],
  ['types of tests and benches', 'npx --no-install tsc -p test'],
  ['types of the verifier tests', 'npx --no-install tsc -p attestation/test'],
  ['eslint', 'npx --no-install eslint --max-warnings 0 src test attestation kms-client bench docs'],
  ['prettier', 'npx --no-install prettier --check --log-level warn .'],
  [
    'the arrows of the design',
    'npx --no-install depcruise --config .dependency-cruiser.cjs src attestation/src attestation/node kms-client/src',
  ],
  ['no unused code', 'npx --no-install knip'],
  ['docs/errors.md is current', 'node scripts/error-docs.mjs --check'],
  ['docs/kernel.md is current', 'node scripts/kernel-docs.mjs --check'],
  ['package of the verifier', 'npx --no-install publint --strict attestation'],
  ['package of the client of KMS', 'npx --no-install publint --strict kms-client'],
  [
    'types of the package as consumers resolve them',
    'npx --no-install attw --pack attestation --profile esm-only --quiet',
  ],
  ['package of the toolkit', 'npx --no-install publint --strict .'],
  [
    'types of the toolkit as consumers resolve them',
    'npx --no-install attw --pack . --profile esm-only --quiet',
  ],
  ['size of the package', 'cd attestation && npx --no-install size-limit --silent'],
  [
    'rustfmt',
    'cargo fmt --all --check && cargo fmt --manifest-path cards/fuzz/Cargo.toml --check && cargo fmt --manifest-path test/oracles/aws-eif/Cargo.toml --check',
  ],
  ['clippy', 'cargo clippy --workspace --all-targets --locked --quiet -- -D warnings'],
  ['clippy of the fuzz targets', 'bash scripts/fuzz.sh --clippy'],
]

const failed = checks.filter(([name, command]) => {
  const begin = performance.now()
  const { status } = spawnSync('sh', ['-c', command], { stdio: 'inherit' })
  const seconds = ((performance.now() - begin) / 1000).toFixed(1)
  console.log(`lint: ${name}: ${status === 0 ? 'ok' : 'FAILED'} (${seconds} s)`)
  return status !== 0
})

const counts = {
  passed: checks.length - failed.length,
  failed: failed.length,
  skipped: 0,
  names: failed.map(([name]) => name),
}
if (process.argv[2] !== undefined) writeFileSync(process.argv[2], JSON.stringify(counts))
process.exitCode = failed.length === 0 ? 0 : 1
