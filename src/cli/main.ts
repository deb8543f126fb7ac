#!/usr/bin/env node
// `cloister`: runs one command, and ends with its exit status.

import { constants } from 'node:os'
import { CloisterError, reasonOf } from '../errors.ts'
import { callOf } from './run-main.ts'

const args = process.argv.slice(2)
const { run, report } = callOf(args)

// The stacks then name our files and lines, also of the bundle; the maps take time to read.
if (args.includes('--verbose')) process.setSourceMapsEnabled(true)

// A reader that has seen enough (`| head -1`) is not an error: the status is a shell's for SIGPIPE.
process.stdout.on('error', (cause: NodeJS.ErrnoException) => {
  if (cause.code === 'EPIPE') process.exit(128 + constants.signals.SIGPIPE)
  const message = `cannot write to standard output: ${reasonOf(cause)}`
  const hint = 'Redirect standard output to a file on a disk with free space.'
  process.exit(report(new CloisterError('ERR_FILE_OUTPUT', message, { cause, hint })))
})
process.stderr.on('error', () => process.exit(1))
process.on('uncaughtException', (error) => process.exit(report(error)))

// With the status a shell gives a program that dies of the signal, but not before what was begun is
// undone (`exit` handlers).
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(128 + constants.signals[signal]))

process.exitCode = await run()
