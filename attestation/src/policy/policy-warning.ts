// What a warning about a policy is made of.

/** What is wrong; stable names for tests and tools. */
export type PolicyWarningCode =
  | 'no-attestation'
  | 'unconditioned-allow'
  | 'wildcard-action'
  | 'reencrypt-from'
  | 'create-grant'
  | 'grant-without-document'
  | 'put-key-policy'
  | 'replicate-key'
  | 'anyone'
  | 'account-delegation'
  | 'true-when-absent'
  | 'wildcard-measurement'
  | 'weak-measurement'
  | 'signer-measurement'
  | 'debug-measurement'
  | 'never-matches'
  | 'no-deny-when-absent'
  | 'unknown-condition-key'
  | 'absent-condition-key'
  | 'unknown-action'
  | 'not-principal'
  | 'no-root'
  | 'several-roots'
  | 'untrusted-root'

/** One weakness of a policy. */
export interface PolicyWarning {
  readonly code: PolicyWarningCode
  /** The statement's name; null when it is about the whole policy. */
  readonly statement: string | null
  readonly message: string
}
