// Signing with a restricted key: the TPM hashes the message itself and hands out a ticket that says
// it did, unless the message could pass for an attestation of the TPM (TPM_GENERATED_VALUE first).
// TPM 2.0 Library, Part 3 sections 15.4 (Hash), 17 (sequences) and 20.2 (Sign).

import { check } from '../../errors.ts'
import { type AttestationKey, padCoordinate } from './attestation-key.ts'
import {
  MAX_BUFFER_BYTES,
  TPM_ALG_ECDSA,
  TPM_ALG_NULL,
  TPM_ALG_SHA384,
  TPM_RH_OWNER,
} from './constants.ts'
import { execute, type TpmChannel } from './command.ts'
import { concat, sized16, u16, u32 } from './marshal.ts'
import type { ResponseReader } from './response-reader.ts'

interface HashedMessage {
  readonly digest: Uint8Array
  /** TPMT_TK_HASHCHECK. */
  readonly ticket: Uint8Array
}

/**
 * The ECDSA signature with SHA-384 over `message`, `r || s`, 96 bytes.
 * @throws ERR_CHIP_TPM_RC (0x3e0) when the message begins like an attestation of the TPM.
 */
export async function signMessage(
  channel: TpmChannel,
  key: AttestationKey,
  message: Uint8Array,
): Promise<Uint8Array> {
  const { digest, ticket } = await hashMessage(channel, message)
  const { parameters } = await execute(channel, 'Sign', {
    handles: [key.handle],
    authorizations: 1,
    parameters: concat(sized16(digest), u16(TPM_ALG_NULL), ticket),
  })
  const signature = readSignature(parameters)
  parameters.end()
  return signature
}

/** Reads a TPMT_SIGNATURE: ECDSA with SHA-384, as `r || s`, 96 bytes. */
export function readSignature(reader: ResponseReader): Uint8Array {
  const ecdsa = reader.u16() === TPM_ALG_ECDSA && reader.u16() === TPM_ALG_SHA384
  check(ecdsa, 'ERR_CHIP_TPM_PROTOCOL', 'the TPM signed with another algorithm')
  return concat(padCoordinate(reader.sized16()), padCoordinate(reader.sized16()))
}

async function hashMessage(channel: TpmChannel, message: Uint8Array): Promise<HashedMessage> {
  if (message.length > MAX_BUFFER_BYTES) return hashLongMessage(channel, message)
  const { parameters } = await execute(channel, 'Hash', {
    parameters: concat(sized16(message), u16(TPM_ALG_SHA384), u32(TPM_RH_OWNER)),
  })
  return { digest: parameters.sized16(), ticket: parameters.rest() }
}

async function hashLongMessage(channel: TpmChannel, message: Uint8Array): Promise<HashedMessage> {
  const { handle } = await execute(channel, 'HashSequenceStart', {
    parameters: concat(sized16(new Uint8Array(0)), u16(TPM_ALG_SHA384)),
    returnsHandle: true,
  })
  try {
    return await feedSequence(channel, handle, message)
  } catch (error) {
    // A sequence that is not completed holds one of three object slots.
    await execute(channel, 'FlushContext', { parameters: u32(handle) }).catch(() => undefined)
    throw error
  }
}

async function feedSequence(
  channel: TpmChannel,
  handle: number,
  message: Uint8Array,
): Promise<HashedMessage> {
  const lastChunk = Math.floor((message.length - 1) / MAX_BUFFER_BYTES) * MAX_BUFFER_BYTES
  for (let start = 0; start < lastChunk; start += MAX_BUFFER_BYTES) {
    await execute(channel, 'SequenceUpdate', {
      handles: [handle],
      authorizations: 1,
      parameters: sized16(message.subarray(start, start + MAX_BUFFER_BYTES)),
    })
  }
  const { parameters } = await execute(channel, 'SequenceComplete', {
    handles: [handle],
    authorizations: 1,
    parameters: concat(sized16(message.subarray(lastChunk)), u32(TPM_RH_OWNER)),
  })
  return { digest: parameters.sized16(), ticket: parameters.rest() }
}
