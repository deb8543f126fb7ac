// The ECDSA algorithms of a signed image: RFC 9053 section 2.1, one for each curve that AWS's tools sign
// with. The curve of the key chooses the algorithm.

import type { KeyObject } from 'node:crypto'

export interface SigningAlgorithm {
  /** OpenSSL's name of the curve. */
  readonly curve: 'prime256v1' | 'secp384r1' | 'secp521r1'
  /** COSE algorithm number. */
  readonly number: -7 | -35 | -36
  readonly hash: 'sha256' | 'sha384' | 'sha512'
  /** Bytes of a signature `r || s`, each padded to the length of the curve's order. */
  readonly signatureBytes: 64 | 96 | 132
}

const ALGORITHMS: readonly SigningAlgorithm[] = [
  { curve: 'prime256v1', number: -7, hash: 'sha256', signatureBytes: 64 },
  { curve: 'secp384r1', number: -35, hash: 'sha384', signatureBytes: 96 },
  { curve: 'secp521r1', number: -36, hash: 'sha512', signatureBytes: 132 },
]

/** The algorithm for keys of a public or private key's curve; undefined for every other kind of key. */
export function signingAlgorithmOf(key: KeyObject): SigningAlgorithm | undefined {
  const curve = key.asymmetricKeyDetails?.namedCurve
  return ALGORITHMS.find((algorithm) => algorithm.curve === curve)
}
