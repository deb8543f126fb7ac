// The one way a signature is checked, for COSE messages, certificates and TPM attestations alike.

import { RememberingCrypto } from './remembering-crypto.ts'
import { importPoint, P384_SIGNATURE_BYTES, verifyP384 } from './webcrypto.ts'
import type { SignedMessage, WebCrypto } from './webcrypto.ts'

/** Whether the signature is valid. False also for a public key that is not a point of the curve. */
export async function verifySignature(signed: SignedMessage, crypto: WebCrypto): Promise<boolean> {
  const { publicKey, signature, message } = signed
  if (signature.length !== P384_SIGNATURE_BYTES) return false
  if (crypto instanceof RememberingCrypto && crypto.knows(signed)) return true
  try {
    const key = await importPoint(publicKey, crypto)
    return await verifyP384(key, signature, message, crypto)
  } catch (error) {
    // WebCrypto throws a DOMException on a bad point, and some runtimes on r or s out of range.
    if (error instanceof TypeError) throw error
    return false
  }
}
