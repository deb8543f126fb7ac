// The PCRs in a file of measurements, as build-enclave prints it, whole or its `Measurements` alone.

import { CloisterError, withHint } from '../errors.ts'
import { parseStrictJson } from '../kms/index.ts'

const HINT = 'Give the file that `cloister build-enclave` printed.'

/**
 * `PCR<n>` and its value, lower-case hexadecimal.
 * @throws `ERR_CLI_ARGUMENT`
 */
export function measuredPcrs(bytes: Uint8Array, path: string): Readonly<Record<string, string>> {
  const file = parsed(bytes, path) as Record<string, unknown> | null
  const measurements = (file?.['Measurements'] ?? file ?? {}) as Record<string, unknown>
  const pcrs = Object.entries(measurements).flatMap(([name, value]) =>
    /^PCR\d+$/.test(name) && typeof value === 'string' && /^[0-9a-f]{96}$/i.test(value)
      ? [[name, value.toLowerCase()] as const]
      : [],
  )
  if (pcrs.length > 0) return Object.fromEntries(pcrs)
  throw new CloisterError('ERR_CLI_ARGUMENT', `--measurements: ${path} has no PCRs`, {
    hint: HINT,
  })
}

function parsed(bytes: Uint8Array, path: string): unknown {
  try {
    return parseStrictJson(bytes, 'ERR_CLI_ARGUMENT', `--measurements: ${path}`)
  } catch (error) {
    throw error instanceof CloisterError ? withHint(error, HINT) : error
  }
}
