// What both of the agent's connections have in common: each message is one CBOR map.

import { decodeCbor } from '@cloister/attestation/cbor'
import { CloisterError } from '../../errors.ts'

/** @throws `ERR_KEEPER_AGENT` for anything but one CBOR map. */
export function decodeAgentMessage(bytes: Uint8Array): ReadonlyMap<unknown, unknown> {
  try {
    const value = decodeCbor(bytes)
    if (value instanceof Map) return value
  } catch (cause) {
    throw malformedMessage('it is not CBOR', cause)
  }
  throw malformedMessage('it is not a map')
}

/** The error for a message that the agent would not send. */
export function malformedMessage(reason: string, cause?: unknown): CloisterError {
  return new CloisterError('ERR_KEEPER_AGENT', `a message of the agent is malformed: ${reason}`, {
    cause,
  })
}
