// A WebCrypto for the option `crypto` that verifies at once, on the calling thread, with node:crypto.
// It saves the way to the thread pool and back, some 5 to 10 percent of a verification on one core,
// and blocks the event loop for half a millisecond per signature. For batches and command lines.

import { createHash, KeyObject, verify, webcrypto } from 'node:crypto'
import type { WebCrypto } from '@cloister/attestation'

/** SHA-384 and ECDSA P-384 verification by node:crypto, synchronously. */
export const nodeCrypto: WebCrypto = {
  subtle: {
    digest: async (_algorithm, data) => {
      const digest = createHash('sha384').update(data).digest()
      return Promise.resolve(new Uint8Array(digest).buffer)
    },
    /** WebCrypto reads a raw point in a third of the time that a DER key takes. */
    importKey: async (...point) => KeyObject.from(await webcrypto.subtle.importKey(...point)),
    verify: async (_algorithm, key, signature, data) => {
      if (!(key instanceof KeyObject)) throw new TypeError('a key of another WebCrypto')
      const verifier = { key, dsaEncoding: 'ieee-p1363' } as const
      return Promise.resolve(verify('sha384', data, verifier, signature))
    },
  },
}
