// Runs every test and closes with one line of true counts. Linters and type checks count as tests:
// each is one claim about the code.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const scratch = await mkdtemp(join(tmpdir(), 'cloister-test-'))
const total = { passed: 0, failed: 0, skipped: 0 }

/** Runs a command with our output; returns its exit status and what it wrote to standard output. */
function run(command, args) {
  return new Promise((resolve, reject) => {
    // Longer than any phase takes: a phase that hangs is a failure, not a wait for ever.
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 2_400_000 })
    let output = ''
    child.stdout.on('data', (bytes) => {
      output += bytes
      process.stdout.write(bytes)
    })
    child.on('error', reject)
    child.on('close', (status) => resolve({ status: status ?? 1, output }))
  })
}

function count(name, counts, status) {
  const failed = counts.failed === 0 && status !== 0 ? 1 : counts.failed
  total.passed += counts.passed
  total.failed += failed
  total.skipped += counts.skipped
  console.log(`${name}: ${counts.passed} passed, ${failed} failed, ${counts.skipped} skipped`)
}

async function lint() {
  const { status } = await run('node', ['scripts/lint.mjs', join(scratch, 'lint.json')])
  const none = '{"passed":0,"failed":0,"skipped":0}'
  const counts = await readFile(join(scratch, 'lint.json'), 'utf8').catch(() => none)
  count('lint', JSON.parse(counts), status)
}

async function cargo() {
  const { status, output } = await run('cargo', ['test', '--workspace', '--locked', '--quiet'])
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const [, passed, failed, ignored] of output.matchAll(
    /(\d+) passed; (\d+) failed; (\d+) ignored/g,
  )) {
    counts.passed += Number(passed)
    counts.failed += Number(failed)
    counts.skipped += Number(ignored)
  }
  count('cargo test', counts, status)
}

/** A short run of every fuzz target; each is one claim. */
async function fuzz() {
  const { status, output } = await run('bash', ['scripts/fuzz.sh', '8'])
  const verdicts = [...output.matchAll(/^fuzz: \w+: (ok|FAILED)/gm)].map(([, verdict]) => verdict)
  const passed = verdicts.filter((verdict) => verdict === 'ok').length
  count('fuzz', { passed, failed: verdicts.length - passed, skipped: 0 }, status)
}

/** Each run has a configuration of its own: Node, headless Chromium, Go's nitrite beside ours. */
async function vitest(name, config, ...options) {
  const report = join(scratch, `${name}.json`)
  const { status } = await run('npx', [
    '--no-install',
    'vitest',
    'run',
    `--config=${config}`,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...options,
  ])
  const json = JSON.parse(await readFile(report, 'utf8').catch(() => '{}'))
  const broken = (json.testResults ?? []).filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  )
  const counts = {
    passed: json.numPassedTests ?? 0,
    failed: (json.numFailedTests ?? 0) + broken.length,
    skipped: (json.numPendingTests ?? 0) + (json.numTodoTests ?? 0),
  }
  count(name, counts, status)
}

// See attestation/test/vectors/plugin.ts.
const vectors = resolve(process.env.CLOISTER_VECTORS ?? '../shared/vectors')
if (!existsSync(join(vectors, 'aws'))) {
  const missing = `there are no real AWS documents in ${vectors}`
  if (process.env.CLOISTER_VECTORS !== undefined) throw new Error(missing)
  console.log(`${missing}: tests over them are skipped; CLOISTER_VECTORS names another directory`)
}

try {
  await lint()
  await cargo()
  await fuzz()
  // One after the other: what boots machines must not starve, nor be starved.
  for (const project of ['pure', 'real', 'lab'])
    await vitest(project, 'vitest.config.ts', '--project', project)
  await vitest('browser', 'attestation/vitest.browser.config.ts')
  await vitest('differential', 'attestation/vitest.differential.config.ts')
} finally {
  await rm(scratch, { recursive: true, force: true })
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1
