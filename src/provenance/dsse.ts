// DSSE, the Dead Simple Signing Envelope (secure-systems-lab/dsse v1.0.2, protocol.md and envelope.md):
// a payload of any type with signatures over it.

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto'

import { CloisterError, check } from '../errors.ts'

export interface Envelope {
  readonly payloadType: string
  /** Base64. */
  readonly payload: string
  readonly signatures: readonly EnvelopeSignature[]
}

export interface EnvelopeSignature {
  /** SHA-256 of the key's SubjectPublicKeyInfo, in hex: a hint, never a reason to trust. */
  readonly keyid?: string
  /** Base64; of ECDSA in DER. */
  readonly sig: string
}

/** Hash of each curve that may sign; Ed25519 has its own. */
const HASHES: Readonly<Record<string, string>> = {
  prime256v1: 'sha256',
  secp384r1: 'sha384',
  secp521r1: 'sha512',
}

/**
 * Signs a payload.
 *
 * @param pem - A private key on P-256, P-384, P-521 or Ed25519, not encrypted.
 * @throws `ERR_PROVENANCE_KEY`
 */
export function signEnvelope(payload: Uint8Array, payloadType: string, pem: Uint8Array): Envelope {
  const key = privateKey(pem)
  const signature = sign(hashFor(key), encoded(payload, payloadType), key)
  return {
    payloadType,
    payload: Buffer.from(payload).toString('base64'),
    signatures: [{ keyid: keyId(createPublicKey(key)), sig: signature.toString('base64') }],
  }
}

/**
 * The payload of an envelope that `pem` signed.
 *
 * @param pem - A public key or a certificate; the dates of a certificate are not looked at.
 * @throws `ERR_PROVENANCE_KEY` for an unusable key, `ERR_PROVENANCE_SIGNATURE` when none of the
 *   signatures is valid under it
 */
export function openEnvelope(envelope: Envelope, pem: Uint8Array): Uint8Array {
  const key = publicKey(pem)
  const payload = payloadOf(envelope)
  const signed = encoded(payload, envelope.payloadType)
  const isSigned = envelope.signatures.some(({ sig }) =>
    verify(hashFor(key), signed, key, Buffer.from(sig, 'base64')),
  )
  const [count, id] = [String(envelope.signatures.length), keyId(key)]
  const message = `none of its ${count} signatures is valid under the key ${id}`
  check(isSigned, 'ERR_PROVENANCE_SIGNATURE', message)
  return payload
}

/** What an envelope carries, whoever signed it. */
export function payloadOf({ payload }: Envelope): Uint8Array {
  return Buffer.from(payload, 'base64')
}

/** PAE of the specification: what is signed. */
function encoded(payload: Uint8Array, payloadType: string): Buffer {
  const [typeBytes, bytes] = [String(Buffer.byteLength(payloadType)), String(payload.length)]
  const head = `DSSEv1 ${typeBytes} ${payloadType} ${bytes} `
  return Buffer.concat([Buffer.from(head), payload])
}

function privateKey(pem: Uint8Array): KeyObject {
  return usable(() => createPrivateKey(Buffer.from(pem)), 'a private key in PEM without a password')
}

function publicKey(pem: Uint8Array): KeyObject {
  return usable(() => createPublicKey(Buffer.from(pem)), 'a public key or certificate in PEM')
}

function usable(parse: () => KeyObject, wanted: string): KeyObject {
  try {
    const key = parse()
    hashFor(key)
    return key
  } catch (cause) {
    if (cause instanceof CloisterError) throw cause
    throw new CloisterError('ERR_PROVENANCE_KEY', `the key is not ${wanted}`, { cause })
  }
}

/** `null`: the algorithm hashes by itself. */
function hashFor({
  asymmetricKeyType: type,
  asymmetricKeyDetails: details,
}: KeyObject): string | null {
  if (type === 'ed25519') return null
  const hash = type === 'ec' ? HASHES[details?.namedCurve ?? ''] : undefined
  const name = [type, details?.namedCurve].filter((part) => part !== undefined).join(' ')
  check(hash !== undefined, 'ERR_PROVENANCE_KEY', `keys of the kind ${name} do not sign statements`)
  return hash
}

function keyId(key: KeyObject): string {
  const spki = key.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki).digest('hex')
}
