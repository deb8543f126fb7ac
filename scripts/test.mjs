// Runs every test and closes with one line of true counts. Linters and type checks count as tests:
// each is one claim about the code.

import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { stripVTControlCharacters } from 'node:util'

import { run, runInLanes } from './lanes.mjs'

const scratch = await mkdtemp(join(tmpdir(), 'cloister-test-'))
const total = { passed: 0, failed: 0, skipped: 0 }
/** What failed, told again at the end: the phases run side by side, and a log may be cut. */
const failures = []
/** Of each failure, at most so many lines of its message. */
const MAX_MESSAGE_LINES = 6
const begin = performance.now()

function count(name, counts, status, beginMs) {
  const failed = counts.failed === 0 && status !== 0 ? 1 : counts.failed
  total.passed += counts.passed
  total.failed += failed
  total.skipped += counts.skipped
  console.log(
    `${name}: ${counts.passed} passed, ${failed} failed, ${counts.skipped} skipped (${secondsSince(beginMs)} s)`,
  )
}

function secondsSince(beginMs) {
  return ((performance.now() - beginMs) / 1000).toFixed(0)
}

async function lint() {
  const beginMs = performance.now()
  const { status } = await run('lint', 'node', ['scripts/lint.mjs', join(scratch, 'lint.json')])
  const none = '{"passed":0,"failed":0,"skipped":0}'
  const counts = JSON.parse(await readFile(join(scratch, 'lint.json'), 'utf8').catch(() => none))
  failures.push(...(counts.names ?? []).map((name) => `lint: ${name}`))
  count('lint', counts, status, beginMs)
}

async function cargo() {
  const beginMs = performance.now()
  const { status, output } = await run('cargo', 'cargo', [
    'test',
    '--no-fail-fast',
    '--workspace',
    '--locked',
    '--quiet',
  ])
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const [, name] of output.matchAll(/^---- (.+) stdout ----$/gm))
    failures.push(`cargo test: ${name}`)
  // Of netd's tests, which have a harness of their own.
  for (const [, name] of output.matchAll(/^test (.+ \.\.\. FAILED.*)$/gm))
    failures.push(`cargo test: ${name}`)
  for (const [, passed, failed, ignored] of output.matchAll(
    /(\d+) passed; (\d+) failed; (\d+) ignored/g,
  )) {
    counts.passed += Number(passed)
    counts.failed += Number(failed)
    counts.skipped += Number(ignored)
  }
  count('cargo test', counts, status, beginMs)
}

/** A short run of every fuzz target; each is one claim. */
async function fuzz() {
  const beginMs = performance.now()
  const { status, output } = await run('fuzz', 'bash', ['scripts/fuzz.sh', '8'])
  const verdicts = [...output.matchAll(/^fuzz: \w+: (ok|FAILED)/gm)].map(([, verdict]) => verdict)
  for (const [line] of output.matchAll(/^fuzz: \w+: FAILED.*$/gm)) failures.push(line)
  const passed = verdicts.filter((verdict) => verdict === 'ok').length
  count('fuzz', { passed, failed: verdicts.length - passed, skipped: 0 }, status, beginMs)
}

/** Each run has a configuration of its own: Node, headless Chromium, Go's nitrite beside ours. */
async function vitest(name, config, ...options) {
  const beginMs = performance.now()
  const report = join(scratch, `${name}.json`)
  const { status } = await run(name, 'npx', [
    '--no-install',
    'vitest',
    'run',
    `--config=${config}`,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    // Of the runs before; two at once would write the same file.
    '--no-cache',
    ...options,
  ])
  const json = JSON.parse(await readFile(report, 'utf8').catch(() => '{}'))
  const broken = (json.testResults ?? []).filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  )
  failures.push(...failuresOf(name, json))
  const counts = {
    passed: json.numPassedTests ?? 0,
    failed: (json.numFailedTests ?? 0) + broken.length,
    skipped: (json.numPendingTests ?? 0) + (json.numTodoTests ?? 0),
  }
  count(name, counts, status, beginMs)
}

/** One text for each test that failed, and for each file that could not be run. */
function failuresOf(run, { testResults = [] }) {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(process.cwd(), name)
    if (status === 'failed' && assertionResults.length === 0)
      return [`${run}: ${file}\n${firstLines(message)}`]
    return assertionResults
      .filter((test) => test.status === 'failed')
      .map((test) => `${run}: ${file}: ${test.fullName}\n${firstLines(test.failureMessages[0])}`)
  })
}

function firstLines(text = '') {
  const lines = stripVTControlCharacters(text).split('\n').slice(0, MAX_MESSAGE_LINES)
  return lines.map((line) => `    ${line.slice(0, 300)}`).join('\n')
}

// See attestation/test/vectors/plugin.ts.
const vectors = resolve(process.env.CLOISTER_VECTORS ?? '../shared/vectors')
if (!existsSync(join(vectors, 'aws'))) {
  const missing = `there are no real AWS documents in ${vectors}`
  if (process.env.CLOISTER_VECTORS !== undefined) throw new Error(missing)
  console.log(`${missing}: tests over them are skipped; CLOISTER_VECTORS names another directory`)
}

/** What boots machines is one job: integration runs two files at a time; faults, which meet the host too, one. */
async function real() {
  await vitest('integration', 'vitest.config.ts', '--project=real', 'test/integration')
  const faults = ['--project=real', '--no-file-parallelism', 'test/faults']
  await vitest('faults', 'vitest.config.ts', ...faults)
}

/** The longest come first, the shortest fill up. */
const jobs = [
  real,
  () => vitest('pure', 'vitest.config.ts', '--project=pure', '--maxWorkers=1'),
  fuzz,
  lint,
  cargo,
  () => vitest('browser', 'attestation/vitest.browser.config.ts'),
  () => vitest('differential', 'attestation/vitest.differential.config.ts'),
]

try {
  await runInLanes(jobs)
  // Its host has two processors, and guests of its own that wait for them: nothing runs beside it.
  await vitest('lab', 'vitest.config.ts', '--project=lab')
} finally {
  await rm(scratch, { recursive: true, force: true })
}
for (const failure of failures) console.log(`FAILED ${failure}`)
console.log(`all phases: ${secondsSince(begin)} s`)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1
