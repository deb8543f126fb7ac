// Files that an option names, in errors with the option's name.

import { CloisterError } from '../errors.ts'
import { readInputFile, readStandardInput } from './read-input.ts'

/** Far above any key, certificate, configuration or document. */
const MAX_ARGUMENT_BYTES = 1024 * 1024

/**
 * The contents of a file that a flag names; `-` is standard input.
 * @throws ERR_FILE_INPUT when it is not a readable regular file of at most `maxBytes`
 */
export function readFileArgument(
  flag: string,
  path: string,
  maxBytes = MAX_ARGUMENT_BYTES,
): Uint8Array {
  const options = { code: 'ERR_FILE_INPUT', maxBytes } as const
  try {
    return path === '-' ? readStandardInput(options) : readInputFile(path, options)
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error
    const { details, hint, cause } = error
    throw new CloisterError(error.code, `${flag}: ${error.message}`, { details, hint, cause })
  }
}
