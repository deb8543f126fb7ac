// Argument parsers for commander: they refuse what they do not fully understand.

import { InvalidArgumentError, Option } from 'commander'

export { readFileArgument } from '../files/index.ts'

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

/** More vCPUs than any host has: what this host and an enclave can have is checked at the launch. */
export const MAX_CPU_COUNT = 65_536
/** The highest number of a CPU that Linux can have (CONFIG_NR_CPUS). */
export const MAX_CPU_ID = 8191

/** Memory in MiB, or with the suffix M, G or T in either case, as nitro-cli takes it. */
export function memorySize(text: string): number {
  const match = /^(\d{1,9})([MGT]?)$/.exec(text.toUpperCase())
  if (match === null)
    throw new InvalidArgumentError('It must be a size in MiB, or end in M, G or T.')
  const factor = { M: 1, G: 1024, T: 1024 * 1024 }[match[2] ?? ''] ?? 1
  return Number(match[1]) * factor
}

/** An option that is given once for each value; the values become a list. */
export class RepeatedOption<T> extends Option {
  /** @param parse - May throw what a parser of commander throws. */
  constructor(flags: string, description: string, parse: (text: string) => T) {
    super(flags, `${description} (repeatable)`)
    this.argParser<readonly T[] | undefined>((text, before) => [...(before ?? []), parse(text)])
  }
}

/** `--accelerator`, or `CLOISTER_ACCELERATOR`. */
export function acceleratorOption(): Option {
  return new Option('--accelerator <kind>', 'how to run the guest')
    .choices(['auto', 'kvm', 'tcg'])
    .env('CLOISTER_ACCELERATOR')
    .default('auto')
}
