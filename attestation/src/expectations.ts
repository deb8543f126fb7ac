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
  await checkBytes('ERR_NONCE_MISMATCH', policy.nonce, payload.nonce)
  await checkBytes('ERR_PUBLIC_KEY_MISMATCH', policy.publicKey, payload.publicKey)
  await checkBytes('ERR_USER_DATA_MISMATCH', policy.userData, payload.userData)
  return matchedPcrs
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

async function checkBytes(
  code: AttestationErrorCode,
  expected: ExpectedBytes | undefined,
  actual: Uint8Array | null,
): Promise<void> {
  if (expected === undefined) return
  const right =
    expected instanceof Uint8Array
      ? actual !== null && equalBytes(actual, expected)
      : isTrue(await expected(actual && actual.slice()))
  if (right) return
  const details = {
    expected: expected instanceof Uint8Array ? toHex(expected) : null,
    actual: actual && toHex(actual),
  }
  const message = `the document has ${details.actual ?? 'absent'}, expected ${details.expected ?? 'another'}`
  throw new AttestationError(code, message, { details })
}

/** Callers without types can return anything: a promise, say, is no yes. */
function isTrue(value: unknown): boolean {
  return value === true
}
