// Compares a verified payload with what the caller expects.

import { equalBytes, toHex } from './bytes.ts'
import { isDebug, toPcrTable } from './document/pcrs.ts'
import type { Payload } from './document/payload.ts'
import { AttestationError, check } from './errors.ts'
import type { AttestationErrorCode } from './error-table.ts'
import { matchMeasurements } from './measurements.ts'
import type { ExpectedBytes, Policy } from './options.ts'

/**
 * Checks, in order: debug mode, measurements, module id, nonce, public key, user data. Returns the
 * indices of the PCRs that were compared.
 * @throws AttestationError ERR_DEBUG_DOCUMENT, ERR_PCR_MISMATCH, ERR_PCR_MISSING,
 * ERR_MODULE_ID_MISMATCH, ERR_NONCE_MISMATCH, ERR_PUBLIC_KEY_MISMATCH, ERR_USER_DATA_MISMATCH.
 */
export async function checkExpectations(
  payload: Payload,
  policy: Policy,
): Promise<readonly number[]> {
  checkDebug(payload, policy)
  const { measurements } = policy
  const matchedPcrs = measurements ? matchMeasurements(payload.pcrs, measurements) : []
  checkModuleId(payload, policy)
  await checkBytes('nonce', policy, payload)
  await checkBytes('publicKey', policy, payload)
  await checkBytes('userData', policy, payload)
  return matchedPcrs
}

/**
 * Checks a nonce that is given as bytes, or as `'absent'`; one that is asked about waits until nothing
 * else speaks against the document.
 * @throws AttestationError ERR_NONCE_MISMATCH.
 */
export function checkKnownNonce({ nonce }: Payload, policy: Policy): void {
  const expected = policy.nonce
  if (expected === undefined || typeof expected === 'function') return
  if (!matchesKnown(expected, nonce)) throw mismatch('nonce', expected, nonce)
}

function checkDebug(payload: Payload, { allowDebug }: Policy): void {
  if (allowDebug || !isDebug(payload)) return
  const pcrs = toPcrTable(payload.pcrs)
  const message = 'the enclave runs in debug mode: PCR0, PCR1 or PCR2 is zero'
  const details = { PCR0: pcrs[0] ?? null, PCR1: pcrs[1] ?? null, PCR2: pcrs[2] ?? null }
  throw new AttestationError('ERR_DEBUG_DOCUMENT', message, { details })
}

function checkModuleId({ moduleId: actual }: Payload, { moduleId: expected }: Policy): void {
  if (expected === undefined) return
  const right = typeof expected === 'function' ? isTrue(expected(actual)) : expected === actual
  check(right, 'ERR_MODULE_ID_MISMATCH', `the document comes from ${actual}`, {
    expected: typeof expected === 'function' ? null : expected,
    actual,
  })
}

const FIELDS = {
  nonce: { code: 'ERR_NONCE_MISMATCH', label: 'nonce' },
  publicKey: { code: 'ERR_PUBLIC_KEY_MISMATCH', label: 'public_key' },
  userData: { code: 'ERR_USER_DATA_MISMATCH', label: 'user_data' },
} as const satisfies Record<string, { code: AttestationErrorCode; label: string }>

type BytesField = keyof typeof FIELDS

async function checkBytes(field: BytesField, policy: Policy, payload: Payload): Promise<void> {
  const [expected, actual] = [policy[field], payload[field]]
  if (expected === undefined || (await matches(expected, actual))) return
  throw mismatch(field, expected, actual)
}

function mismatch(
  field: BytesField,
  expected: ExpectedBytes,
  actual: Uint8Array | null,
): AttestationError {
  const { code, label } = FIELDS[field]
  const wanted = typeof expected === 'function' ? 'something else' : inWords(expected)
  const message = `the document's ${label} is ${inWords(actual ?? 'absent')}, expected ${wanted}`
  const details = {
    expected: expected instanceof Uint8Array ? toHex(expected) : null,
    actual: actual && toHex(actual),
  }
  return new AttestationError(code, message, { details })
}

async function matches(expected: ExpectedBytes, actual: Uint8Array | null): Promise<boolean> {
  if (typeof expected !== 'function') return matchesKnown(expected, actual)
  return isTrue(await expected(actual && actual.slice()))
}

function matchesKnown(expected: Uint8Array | 'absent', actual: Uint8Array | null): boolean {
  if (expected === 'absent') return actual === null
  return actual !== null && equalBytes(actual, expected)
}

function inWords(bytes: Uint8Array | 'absent'): string {
  if (bytes === 'absent') return bytes
  return bytes.length === 0 ? 'empty' : toHex(bytes)
}

/** Callers without types can return anything, and a promise is truthy. */
function isTrue(value: unknown): boolean {
  return value === true
}
