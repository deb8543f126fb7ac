// The host chip and the virtual TPMs: what certifies enclaves, and what signs for each of them.

export { chipUser } from './chip-user.ts'
export { hostChipStorage, openHostChip, type HostChip } from './host-chip.ts'
export { signerOf } from './issuing.ts'
export { LeafRenewal, type Leaf } from './leaf-renewal.ts'
export type { NvCertification } from './tpm/nv-pcr.ts'
export { pcrDigestOfQuote } from './tpm/quote.ts'
export type { P384Signer } from './tpm-crypto.ts'
export { startVirtualTpm, type SoftwareTpm } from './software-tpm.ts'
export { defineNewCounter, deviceStorage, type StorageTpm } from './storage-tpm.ts'
export { incrementCounter, readCounter, undefineCounter } from './tpm/nv-counter.ts'
export { sealData, unsealData, type SealedData } from './tpm/sealed-data.ts'
export { openTpm, type OpenTpm } from './tpm/open-tpm.ts'
export {
  keyAtHandle,
  loadKey,
  releaseKey,
  signDigest,
  type TpmSigningKey,
} from './tpm/signing-key.ts'
