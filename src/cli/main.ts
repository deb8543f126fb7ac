#!/usr/bin/env node
// `cloister`: runs one command, turns an error into text and an exit status. The commands are loaded
// here, so that a host on which not even that works (no free descriptors, say) is reported too.

import { constants } from 'node:os'
import { CloisterError } from '../errors.ts'
import { descriptorLimit } from '../subprocess/index.ts'
import { reportError } from './report-error.ts'

/** Loading the commands opens this many files at once, or fails in ways that do not say why. */
const NEEDED_DESCRIPTORS = 256

const args = process.argv.slice(2)
/** Read by hand: errors in the arguments are reported in full too. */
const isVerbose = args.includes('--verbose')

// A reader that has seen enough (`| head -1`) is not an error: the status is a shell's for SIGPIPE.
process.stdout.on('error', (cause: NodeJS.ErrnoException) => {
  if (cause.code === 'EPIPE') process.exit(128 + constants.signals.SIGPIPE)
  const message = `cannot write to standard output: ${cause.message}`
  process.exit(reportError(new CloisterError('ERR_FILE_OUTPUT', message, { cause }), isVerbose))
})
process.stderr.on('error', () => process.exit(1))
process.on('uncaughtException', (error) => process.exit(reportError(error, isVerbose)))

// With the status a shell gives a program that dies of the signal, but not before what was begun is
// undone (`exit` handlers).
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(128 + constants.signals[signal]))

try {
  await (
    await loadProgram()
  )(args)
} catch (error) {
  process.exitCode = reportError(error, isVerbose)
}

async function loadProgram(): Promise<(args: readonly string[]) => Promise<void>> {
  const limit = descriptorLimit()
  try {
    return (await import('./program.ts')).runProgram
  } catch (cause) {
    if (limit < NEEDED_DESCRIPTORS) {
      const message = `cannot load Cloister: a process may have ${String(limit)} open files here`
      throw new CloisterError('ERR_HOST_DESCRIPTORS', message, { cause })
    }
    throw new CloisterError('ERR_INTERNAL', 'cannot load Cloister', {
      cause,
      hint: 'Run `npm run setup`: it installs and builds what is missing.',
    })
  }
}
