// What the kinds of keys have in common.

import type { SigningKey } from '../eif/index.ts'

export interface KeyOptions {
  /** The password of an encrypted key; the PIN of a token. */
  readonly password?: string
  /** Device or Unix socket of the TPM; /dev/tpmrm0 by default. */
  readonly tpm?: string
  /** URL of the service for keys in KMS; by default AWS's, or AWS_ENDPOINT_URL_KMS. */
  readonly kmsEndpoint?: string
}

/** A key of a device or service is released on disposal. */
export interface OpenKey extends SigningKey, Partial<AsyncDisposable> {}
