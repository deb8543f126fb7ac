// AWS KMS with attestation documents, for apps in an enclave that use AWS's SDK.

export { attestWith } from './attest-with.ts'
export { attestedKms, type Attest, type AttestedKmsOptions } from './attested-kms.ts'
export { KmsClientError, type KmsClientErrorCode } from './errors.ts'
export { requireLockedPolicy, type LockedPolicyOptions } from './locked-policy.ts'
