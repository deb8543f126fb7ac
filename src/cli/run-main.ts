// One call of `cloister`, from its arguments to an exit status. The commands are loaded here, so that a
// host on which not even that works (no free descriptors, say) is reported too.

import { CloisterError } from '../errors.ts'
import { descriptorLimit } from '../subprocess/index.ts'
import type { runProgram as RunProgram } from './program.ts'
import { reportError } from './report-error.ts'

/** Loading the commands opens this many files at once, or fails in ways that do not say why. */
const NEEDED_DESCRIPTORS = 256

export interface Call {
  /**
   * Runs the command, and reports its error if it fails.
   *
   * @returns The exit status; undefined when the command left it open.
   */
  readonly run: () => Promise<typeof process.exitCode>
  /** Reports an error that came another way than from `run`, and returns the exit status. */
  readonly report: (error: unknown) => number
}

/** @param args - What follows the program's name. */
export function callOf(args: readonly string[]): Call {
  /** Undefined until the arguments are read. */
  let command: string | undefined
  const report = (error: unknown): number =>
    // Read by hand: errors in the arguments are reported in full too.
    reportError(error, { isVerbose: args.includes('--verbose'), command })
  const run = async (): Promise<typeof process.exitCode> => {
    try {
      const runProgram = await loadProgram()
      return await runProgram(args, (name) => {
        command = name
      })
    } catch (error) {
      return report(error)
    }
  }
  return { run, report }
}

async function loadProgram(): Promise<typeof RunProgram> {
  const limit = descriptorLimit()
  try {
    return (await import('./program.ts')).runProgram
  } catch (cause) {
    if (limit < NEEDED_DESCRIPTORS) {
      const message = `cannot load Cloister: this process may open only ${String(limit)} files`
      throw new CloisterError('ERR_HOST_DESCRIPTORS', message, { cause })
    }
    throw new CloisterError('ERR_INTERNAL', 'cannot load Cloister', {
      cause,
      hint: 'Run `npm run setup`: it installs and builds what is missing.',
    })
  }
}
