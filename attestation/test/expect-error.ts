// Asserts what failed by its code, never by its message.

import { expect } from 'vitest'
import { AttestationError, type AttestationErrorCode } from '../src/index.ts'

/** The AttestationError that the action throws or rejects with. */
export async function errorOf(action: () => unknown): Promise<AttestationError> {
  try {
    await action()
  } catch (error) {
    expect(error).toBeInstanceOf(AttestationError)
    return error as AttestationError
  }
  throw new Error('nothing was thrown')
}

/** Requires that the action throws or rejects with this code. */
export async function expectCode(action: () => unknown, code: AttestationErrorCode): Promise<void> {
  expect((await errorOf(action)).code).toBe(code)
}
