// Two ways to turn a P-384 point into a key of node:crypto. They accept the same points; which one
// is faster is up to the runtime's OpenSSL.

import { createPublicKey, KeyObject, webcrypto } from 'node:crypto'
import { settle } from './settle.ts'

/** What precedes an uncompressed P-384 point in its DER SubjectPublicKeyInfo, RFC 5480 section 2. */
const SPKI_HEAD = Buffer.from('3076301006072a8648ce3d020106052b81040022036200', 'hex')
const UNCOMPRESSED_BYTES = 97
const P384 = { name: 'ECDSA', namedCurve: 'P-384' } as const

/** Imports a P-384 point, normally uncompressed, 97 bytes; rejects when it is not on the curve. */
export type ImportPoint = (point: Uint8Array<ArrayBuffer>) => Promise<KeyObject>

/** By way of WebCrypto, which has OpenSSL read the bare point. */
export const importRawPoint: ImportPoint = async (point) =>
  // Extractable, as a public key is anyway: for other keys KeyObject.from is deprecated.
  KeyObject.from(await webcrypto.subtle.importKey('raw', point, P384, true, ['verify']))

/** As DER, which OpenSSL's decoders read. */
export const importDerPoint: ImportPoint = (point) => {
  if (point.length !== UNCOMPRESSED_BYTES) return importRawPoint(point)
  const key = Buffer.concat([SPKI_HEAD, point])
  return settle(() => createPublicKey({ key, format: 'der', type: 'spki' }))
}

/**
 * The faster of the two for a version of OpenSSL. Since 3.2 it keeps its chain of decoders, and DER
 * takes a third to a half of the time that WebCrypto does. Before, it builds that chain anew for
 * every key, which takes longer than WebCrypto.
 */
export function fastestImport(opensslVersion: string | undefined): ImportPoint {
  const [major = 0, minor = 0] = (opensslVersion ?? '').split('.').map(Number)
  return major > 3 || (major === 3 && minor >= 2) ? importDerPoint : importRawPoint
}
