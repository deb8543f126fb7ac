// The one error class of the package. Errors of KMS itself are the SDK's.

/** What went wrong; stable. */
export type KmsClientErrorCode =
  /** CiphertextForRecipient is malformed, or was encrypted for another request. */
  | 'ERR_KMS_CLIENT_CMS'
  /** The response has no CiphertextForRecipient, or the plaintext as well. */
  | 'ERR_KMS_CLIENT_NOT_ATTESTED'
  /** The response is not signed by the pinned key, or not for this request. */
  | 'ERR_KMS_CLIENT_SIGNATURE'
  /** The pinned key is not a public key that Cloister's broker signs with. */
  | 'ERR_KMS_CLIENT_RESPONSE_KEY'
  /** No attestation document could be had. */
  | 'ERR_KMS_CLIENT_DOCUMENT'
  /** The key's policy can be extended, or cannot be understood. */
  | 'ERR_KMS_CLIENT_POLICY_NOT_LOCKED'

/** A response or a key that must not be used. */
export class KmsClientError extends Error {
  override readonly name = 'KmsClientError'
  readonly code: KmsClientErrorCode

  constructor(code: KmsClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
