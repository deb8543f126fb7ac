// A user's own signing key in a TPM: at a persistent handle, or loaded from its two blobs below a parent.
// TPM 2.0 Library, Part 3 sections 12.2 (Load), 12.4 (ReadPublic) and 20.2 (Sign).

import { createPublicKey, type KeyObject } from 'node:crypto'

import { check } from '../../errors.ts'
import { execute, type TpmChannel } from './command.ts'
import {
  TPM_ALG_ECC,
  TPM_ALG_ECDSA,
  TPM_ALG_NULL,
  TPM_ALG_SHA256,
  TPM_ALG_SHA384,
  TPM_ALG_SHA512,
  TPM_ECC_NIST_P256,
  TPM_ECC_NIST_P384,
  TPM_ECC_NIST_P521,
  TPM_RH_NULL,
  TPM_ST_HASHCHECK,
} from './constants.ts'
import { concat, sized16, u16, u32 } from './marshal.ts'
import { createPrimary, flush } from './primary-key.ts'
import { ResponseReader } from './response-reader.ts'

/** A key that is loaded: {@link releaseKey} gives its place in the TPM back. */
export interface TpmSigningKey {
  readonly handle: number
  readonly publicKey: KeyObject
  readonly isTransient: boolean
}

const EMPTY = sized16(new Uint8Array(0))
const PERSISTENT_HANDLES = 0x81
const CURVES: Readonly<Record<number, { readonly name: string; readonly bytes: number }>> = {
  [TPM_ECC_NIST_P256]: { name: 'P-256', bytes: 32 },
  [TPM_ECC_NIST_P384]: { name: 'P-384', bytes: 48 },
  [TPM_ECC_NIST_P521]: { name: 'P-521', bytes: 66 },
}
const HASHES = { sha256: TPM_ALG_SHA256, sha384: TPM_ALG_SHA384, sha512: TPM_ALG_SHA512 } as const
/**
 * The key at a persistent handle.
 * @throws ERR_CHIP_TPM_RC, ERR_CHIP_KEY_UNSUPPORTED
 */
export async function keyAtHandle(channel: TpmChannel, handle: number): Promise<TpmSigningKey> {
  const { parameters } = await execute(channel, 'ReadPublic', { handles: [handle] })
  return { handle, publicKey: publicKeyOf(parameters.sized16()), isTransient: false }
}

/**
 * Loads a key below a parent: a persistent handle, or a hierarchy, whose primary key is then made.
 * @param blobs - TPM2B_PUBLIC and TPM2B_PRIVATE.
 * @throws ERR_CHIP_TPM_RC, ERR_CHIP_KEY_UNSUPPORTED
 */
export async function loadKey(
  channel: TpmChannel,
  parent: number,
  blobs: { readonly publicBlob: Uint8Array; readonly privateBlob: Uint8Array },
): Promise<TpmSigningKey> {
  const publicKey = publicKeyOf(new ResponseReader(blobs.publicBlob).sized16())
  const isPersistent = parent >>> 24 === PERSISTENT_HANDLES
  const parentHandle = isPersistent ? parent : await createPrimary(channel, parent)
  try {
    const { handle } = await execute(channel, 'Load', {
      handles: [parentHandle],
      authorizations: 1,
      parameters: concat(blobs.privateBlob, blobs.publicBlob),
      returnsHandle: true,
    })
    return { handle, publicKey, isTransient: true }
  } finally {
    if (!isPersistent) await flush(channel, parentHandle)
  }
}

/**
 * The ECDSA signature over a digest: `r || s`.
 * @param password - The key's, empty as a rule.
 * @throws ERR_CHIP_TPM_RC
 */
export async function signDigest(
  channel: TpmChannel,
  key: TpmSigningKey,
  message: {
    readonly digest: Uint8Array
    readonly hash: keyof typeof HASHES
    readonly password: Uint8Array
  },
): Promise<Uint8Array> {
  const hash = HASHES[message.hash]
  const { parameters } = await execute(channel, 'Sign', {
    handles: [key.handle],
    authorizations: 1,
    password: message.password,
    parameters: concat(
      sized16(message.digest),
      u16(TPM_ALG_ECDSA),
      u16(hash),
      ...[u16(TPM_ST_HASHCHECK), u32(TPM_RH_NULL), EMPTY], // no ticket: the key is not restricted
    ),
  })
  const isEcdsa = parameters.u16() === TPM_ALG_ECDSA && parameters.u16() === hash
  check(isEcdsa, 'ERR_CHIP_TPM_PROTOCOL', 'the TPM signed with another algorithm')
  const [r, s] = [parameters.sized16(), parameters.sized16()]
  parameters.end()
  const { d: _, ...jwk } = key.publicKey.export({ format: 'jwk' })
  const length = Buffer.from(jwk.x ?? '', 'base64url').length
  return concat(pad(r, length), pad(s, length))
}

/** Gives the place of a loaded key back. */
export async function releaseKey(channel: TpmChannel, key: TpmSigningKey): Promise<void> {
  if (key.isTransient) await flush(channel, key.handle)
}

/** From a TPMT_PUBLIC of an ECC key, whatever its scheme. */
function publicKeyOf(publicArea: Uint8Array): KeyObject {
  const reader = new ResponseReader(publicArea)
  const type = reader.u16()
  check(type === TPM_ALG_ECC, 'ERR_CHIP_KEY_UNSUPPORTED', 'the key in the TPM is not an ECC key')
  reader.take(2 + 4) // nameAlg, attributes
  reader.sized16() // authPolicy
  const symmetric = reader.u16()
  check(symmetric === TPM_ALG_NULL, 'ERR_CHIP_KEY_UNSUPPORTED', 'the key in the TPM is for storage')
  if (reader.u16() !== TPM_ALG_NULL) reader.u16() // scheme and its hash
  const curve = CURVES[reader.u16()]
  check(curve !== undefined, 'ERR_CHIP_KEY_UNSUPPORTED', 'the key in the TPM is on another curve')
  if (reader.u16() !== TPM_ALG_NULL) reader.u16() // kdf
  const [x, y] = [reader.sized16(), reader.sized16()].map((coordinate) =>
    Buffer.from(pad(coordinate, curve.bytes)).toString('base64url'),
  )
  const jwk = { kty: 'EC', crv: curve.name, x: x ?? '', y: y ?? '' }
  return createPublicKey({ key: jwk, format: 'jwk' })
}

/** Left-pads an integer of the TPM, which drops leading zeros. */
function pad(integer: Uint8Array, length: number): Uint8Array {
  check(integer.length <= length, 'ERR_CHIP_TPM_PROTOCOL', 'an integer of the TPM is too long')
  return concat(new Uint8Array(length - integer.length), integer)
}
