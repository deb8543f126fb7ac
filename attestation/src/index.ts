// @cloister/attestation: verifies attestation documents of AWS Nitro Enclaves and of Cloister.

export type { Assurance } from './assurance.ts'
export type {
  Attestation,
  AttestationData,
  CertificateInfo,
  DocumentFields,
} from './attestation.ts'
export type { DocumentKind } from './document/payload.ts'
export type { PcrTable } from './document/pcrs.ts'
export { errorTable, type AttestationErrorCode, type ErrorRow } from './error-table.ts'
export { AttestationError, type AttestationErrorOptions } from './errors.ts'
export { inspectAttestation, type InspectedData, type InspectedDocument } from './inspect.ts'
export type { Jsonable, JsonOf } from './json.ts'
export {
  computeContentPcr,
  computeImagePcrs,
  computeInstancePcr,
  computeRolePcr,
  computeSigningPcr,
  type ImagePcrs,
  type ImageSections,
} from './measure.ts'
export type { Measurements, MeasurementSet, NitroCliMeasurements } from './measurements.ts'
export type { ExpectedBytes, Expectations, VerifierOptions } from './options.ts'
export { awsNitroRootG1 } from './roots.ts'
export { SignatureCache } from './signature/cache.ts'
export type { WebCrypto, WebCryptoSubtle } from './signature/webcrypto.ts'
export type { VerifiedTpmEvidence } from './tpm/verify.ts'
export { createVerifier, verifyAttestation, type Verifier } from './verifier.ts'
