// Signing certificates and documents takes a WebCrypto provider and an ASN.1 encoder: some 100 ms
// of modules, which are loaded when the first signature is made, so that a guest boots meanwhile.

import type * as certificate from './certificate.ts'
import type * as crypto from './tpm-crypto.ts'
import type { VirtualTpm } from './virtual-tpm.ts'

type Issuing = typeof certificate & typeof crypto

export async function loadIssuing(): Promise<Issuing> {
  const [issuing, signing] = await Promise.all([
    import('./certificate.ts'),
    import('./tpm-crypto.ts'),
  ])
  return { ...issuing, ...signing }
}

/** Signs with a TPM's attestation key through `subtle.sign`. */
export async function signerOf(tpm: VirtualTpm): Promise<crypto.P384Signer> {
  const { createTpmSubtle, tpmPrivateKey } = await loadIssuing()
  return { subtle: createTpmSubtle(), privateKey: tpmPrivateKey((bytes) => tpm.sign(bytes)) }
}
