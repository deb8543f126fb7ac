// The restricted P-384 signing key: made from the TPM's endorsement seed by a fixed template, so it
// is the same at every start and is never stored. TPM 2.0 Library, Part 2 sections 12.2 and 14.1
// ("Names"), Part 3 section 24.1; SubjectPublicKeyInfo: RFC 5480.

import { createHash } from 'node:crypto'
import { check } from '../../errors.ts'
import {
  TPM_ALG_ECC,
  TPM_ALG_ECDSA,
  TPM_ALG_NULL,
  TPM_ALG_SHA384,
  TPM_ECC_NIST_P384,
  TPM_RH_ENDORSEMENT,
} from './constants.ts'
import { execute, type TpmChannel } from './command.ts'
import { concat, sized16, u16, u32 } from './marshal.ts'
import { ResponseReader } from './response-reader.ts'

/** An attestation key that is loaded in the TPM, with its public part. */
export interface AttestationKey {
  /** Transient handle. */
  readonly handle: number
  /** TPMT_PUBLIC. */
  readonly publicArea: Uint8Array
  /** `000c || SHA384(TPMT_PUBLIC)`, 50 bytes. */
  readonly name: Uint8Array
  /** DER SubjectPublicKeyInfo, 120 bytes. */
  readonly spki: Uint8Array
}

const COORDINATE_BYTES = 48
// SEQUENCE { SEQUENCE { id-ecPublicKey, secp384r1 }, BIT STRING { 04 || x || y } } up to x.
const SPKI_PREFIX = Buffer.from('3076301006072a8648ce3d020106052b8104002203620004', 'hex')
const SPKI_BYTES = SPKI_PREFIX.length + 2 * COORDINATE_BYTES

// fixedTPM | fixedParent | sensitiveDataOrigin | userWithAuth | noDA | restricted | sign
const ATTRIBUTES = 0x00050472
const PUBLIC_HEAD = concat(
  ...[u16(TPM_ALG_ECC), u16(TPM_ALG_SHA384), u32(ATTRIBUTES), sized16(new Uint8Array(0))],
  ...[u16(TPM_ALG_NULL), u16(TPM_ALG_ECDSA), u16(TPM_ALG_SHA384)],
  ...[u16(TPM_ECC_NIST_P384), u16(TPM_ALG_NULL)],
)

/** TPM2_CreatePrimary under the endorsement hierarchy, with an empty password. */
export async function createAttestationKey(channel: TpmChannel): Promise<AttestationKey> {
  const empty = sized16(new Uint8Array(0))
  const { handle, parameters } = await execute(channel, 'CreatePrimary', {
    handles: [TPM_RH_ENDORSEMENT],
    authorizations: 1,
    parameters: concat(
      sized16(concat(empty, empty)), // inSensitive: no password, no data
      sized16(concat(PUBLIC_HEAD, empty, empty)), // inPublic: the TPM chooses x and y
      empty, // outsideInfo
      u32(0), // creationPCR
    ),
    returnsHandle: true,
  })
  const publicArea = parameters.sized16()
  return { handle, publicArea, name: nameOf(publicArea), spki: spkiOf(publicArea) }
}

/**
 * The Name that the key with this SubjectPublicKeyInfo has when it was made by the template.
 * @throws ERR_CHIP_KEY_UNSUPPORTED
 */
export function nameOfSpki(spki: Uint8Array): Uint8Array {
  const point = pointOf(spki).subarray(1)
  const x = point.subarray(0, COORDINATE_BYTES)
  const y = point.subarray(COORDINATE_BYTES)
  return nameOf(concat(PUBLIC_HEAD, sized16(x), sized16(y)))
}

/**
 * The uncompressed point `04 || x || y` (97 bytes) of a P-384 SubjectPublicKeyInfo.
 * @throws ERR_CHIP_KEY_UNSUPPORTED when it is not the DER of an uncompressed P-384 key.
 */
export function pointOf(spki: Uint8Array): Uint8Array {
  const p384 =
    spki.length === SPKI_BYTES && SPKI_PREFIX.equals(spki.subarray(0, SPKI_PREFIX.length))
  check(p384, 'ERR_CHIP_KEY_UNSUPPORTED', 'not a P-384 SubjectPublicKeyInfo')
  return spki.slice(SPKI_PREFIX.length - 1)
}

/** Left-pads an integer of the TPM, which drops leading zeros, to a P-384 field element. */
export function padCoordinate(integer: Uint8Array): Uint8Array {
  const excess = integer.length > COORDINATE_BYTES
  check(!excess, 'ERR_CHIP_TPM_PROTOCOL', 'an integer of the TPM is longer than 48 bytes')
  return concat(new Uint8Array(COORDINATE_BYTES - integer.length), integer)
}

function nameOf(publicArea: Uint8Array): Uint8Array {
  const digest = createHash('sha384').update(publicArea).digest()
  return concat(u16(TPM_ALG_SHA384), digest)
}

function spkiOf(publicArea: Uint8Array): Uint8Array {
  const head = publicArea.subarray(0, PUBLIC_HEAD.length)
  check(Buffer.from(PUBLIC_HEAD).equals(head), 'ERR_CHIP_TPM_PROTOCOL', 'not the key asked for')
  const reader = new ResponseReader(publicArea.subarray(PUBLIC_HEAD.length))
  const x = padCoordinate(reader.sized16())
  const y = padCoordinate(reader.sized16())
  reader.end()
  return concat(SPKI_PREFIX, x, y)
}
