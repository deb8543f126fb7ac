// Who signs an image: a certificate, and a key that may lie anywhere (file, token, TPM, service). A key
// gives a signature for a digest and nothing else; whether it is the certificate's is proved after each
// signature, by verifying it.

import { createHash, verify, type KeyObject } from 'node:crypto'

import { CloisterError, check } from '../errors.ts'
import { coordinatesOfSignature } from './ecdsa-signature.ts'
import { signingAlgorithmOf, type SigningAlgorithm } from './signing-algorithm.ts'
import { parseSigningCertificate, type SigningCertificate } from './signing-certificate.ts'

/** A private key, wherever it lies. */
export interface SigningKey {
  /** Where it is known before the first signature: a wrong key is then refused at once. */
  readonly publicKey?: KeyObject
  /**
   * Signs what was hashed; returns `r || s` or a DER `ECDSA-Sig-Value`.
   * @param digest - SHA-256, SHA-384 or SHA-512, as the algorithm says.
   */
  sign(digest: Uint8Array, algorithm: SigningAlgorithm): Promise<Uint8Array>
}

export interface EifSigner {
  /** A PEM file; its first certificate is the signer's. */
  readonly certificatePem: Uint8Array
  readonly certificate: SigningCertificate
  readonly algorithm: SigningAlgorithm
  readonly key: SigningKey
}

/**
 * Makes a signer of a certificate in PEM and its key.
 * @throws ERR_EIF_CERTIFICATE, ERR_EIF_SIGNING when the certificate's key is not on P-256, P-384 or
 *   P-521, or known not to be this key
 */
export function makeSigner(certificatePem: Uint8Array, key: SigningKey): EifSigner {
  const certificate = parseSigningCertificate(certificatePem)
  const algorithm = signingAlgorithmOf(certificate.publicKey)
  check(
    algorithm !== undefined,
    'ERR_EIF_SIGNING',
    "the certificate's key is not on P-256, P-384 or P-521",
  )
  const isPair = key.publicKey?.equals(certificate.publicKey) ?? true
  check(isPair, 'ERR_EIF_SIGNING', 'the private key does not belong to the certificate')
  return { certificatePem, certificate, algorithm, key }
}

/**
 * Signs a message with the signer's key; returns `r || s`, verified with the certificate.
 * @throws ERR_EIF_SIGNING, and whatever the key's owner throws
 */
export async function signMessage(signer: EifSigner, message: Uint8Array): Promise<Uint8Array> {
  const { algorithm, certificate, key } = signer
  const digest = createHash(algorithm.hash).update(message).digest()
  const made = await key.sign(digest, algorithm)
  const signature = coordinatesOfSignature(made, algorithm)
  const isRight =
    signature !== undefined &&
    verify(
      algorithm.hash,
      message,
      { key: certificate.publicKey, dsaEncoding: 'ieee-p1363' },
      signature,
    )
  if (isRight) return signature
  throw new CloisterError(
    'ERR_EIF_SIGNING',
    signature === undefined
      ? `the signature is neither r || s of ${String(algorithm.signatureBytes)} bytes nor DER`
      : 'the signature does not verify with the certificate: it was made with another key or for another image',
    { details: { curve: algorithm.curve, signatureBytes: made.length } },
  )
}
