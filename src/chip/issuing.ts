// Signing certificates and documents needs a WebCrypto provider and an ASN.1 encoder: some 100 ms of
// module loading, which is put off to the first signature, while the guest boots.

import type { P384Signer } from './tpm-crypto.ts'
import type { SoftwareTpm } from './software-tpm.ts'

/** Loads the modules that issue certificates; later calls get the same modules. */
export async function loadIssuing() {
  const { issueCertificate } = await import('./certificate.ts')
  const { createTpmSubtle, tpmPrivateKey } = await import('./tpm-crypto.ts')
  return { issueCertificate, createTpmSubtle, tpmPrivateKey }
}

/** Signs with a TPM's attestation key through `subtle.sign`. */
export async function signerOf(tpm: SoftwareTpm): Promise<P384Signer> {
  const { createTpmSubtle, tpmPrivateKey } = await loadIssuing()
  return { subtle: createTpmSubtle(), privateKey: tpmPrivateKey((bytes) => tpm.sign(bytes)) }
}
