// Runs commands side by side, a lane for each processor up to a limit, and shows their output line by
// line under their names.

import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** Most of what is run waits for one busy process at a time; more lanes were not tried. */
const MOST_LANES = 2

/** Longer than any job takes on a slow machine: one that hangs is a failure, not a wait for ever. */
const JOB_TIMEOUT_MS = 7_200_000

/** Runs every job; each lane takes the next one when it is free. Rejects when a job does. */
export async function runInLanes(jobs) {
  const waiting = [...jobs]
  const lane = async () => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) await job()
  }
  const lanes = Math.min(MOST_LANES, availableParallelism())
  await Promise.all(Array.from({ length: lanes }, lane))
}

/** Runs a command; returns its exit status and what it wrote to standard output. */
export function run(name, command, args) {
  return new Promise((resolve, reject) => {
    const stdio = ['ignore', 'pipe', 'pipe']
    const child = spawn(command, args, { stdio, timeout: JOB_TIMEOUT_MS })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
    show(name, child.stdout, process.stdout)
    show(name, child.stderr.setEncoding('utf8'), process.stderr)
    child.on('error', reject)
    child.on('close', (status) => resolve({ status: status ?? 1, output }))
  })
}

/** Whole lines only, so that two jobs do not write into each other's. */
function show(name, from, to) {
  let rest = ''
  from.on('data', (text) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    to.write(lines.map((line) => `${name} | ${line}\n`).join(''))
  })
  from.on('end', () => {
    if (rest !== '') to.write(`${name} | ${rest}\n`)
  })
}
