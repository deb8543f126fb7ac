// Argument parsers for commander: they refuse what they do not fully understand.

import { readFileSync } from 'node:fs'
import { InvalidArgumentError, Option } from 'commander'
import { CloisterError, messageOf } from '../errors.ts'

/** A whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d{1,15}$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(
      `It must be a whole number from ${String(min)} to ${String(max)}.`,
    )
  }
}

/** Memory in MiB, or with the suffix M, G or T, as nitro-cli takes it. */
export function memorySize(text: string): number {
  const match = /^(\d{1,9})([MGT]?)$/.exec(text)
  if (match === null)
    throw new InvalidArgumentError('It must be a size in MiB, or end in M, G or T.')
  const factor = { M: 1, G: 1024, T: 1024 * 1024 }[match[2] ?? ''] ?? 1
  return Number(match[1]) * factor
}

/** @throws `ERR_CLI_ARGUMENT` when the file cannot be read. */
export function readFileArgument(flag: string, path: string): Uint8Array {
  try {
    return readFileSync(path === '-' ? 0 : path)
  } catch (cause) {
    throw new CloisterError(
      'ERR_CLI_ARGUMENT',
      `cannot read ${flag} ${path}: ${messageOf(cause)}`,
      { cause },
    )
  }
}

/** `--accelerator`, or `CLOISTER_ACCELERATOR`. */
export function acceleratorOption(): Option {
  return new Option('--accelerator <kind>', 'how to run the guest')
    .choices(['auto', 'kvm', 'tcg'])
    .env('CLOISTER_ACCELERATOR')
    .default('auto')
}
