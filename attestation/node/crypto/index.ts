// A WebCrypto for the option `crypto` that verifies at once, on the calling thread, with node:crypto.
// It saves the way to the thread pool and back, some 5 to 10 percent of a verification on one core,
// and blocks the event loop for half a millisecond per signature. For batches and command lines.

import { createHash, KeyObject, verify } from 'node:crypto'
import type { WebCrypto } from '@cloister/attestation'
import { encodeEcdsaSigValue } from './ecdsa-sig-value.ts'
import { fastestImport } from './import-point.ts'
import { settle } from './settle.ts'

const SIGNATURE_BYTES = 96
const importPoint = fastestImport(process.versions.openssl)

/** SHA-384 and ECDSA P-384 verification by node:crypto, synchronously. */
export const nodeCrypto: WebCrypto = {
  subtle: {
    digest: (_algorithm, data) =>
      settle(() => new Uint8Array(createHash('sha384').update(data).digest()).buffer),
    importKey: (_format, point) => importPoint(point),
    verify: (_algorithm, key, signature, data) =>
      settle(() => {
        if (!(key instanceof KeyObject)) throw new TypeError('a key of another WebCrypto')
        if (signature.length !== SIGNATURE_BYTES) return false
        return verify('sha384', data, key, encodeEcdsaSigValue(signature))
      }),
  },
}
