// The Authorization header, or its fields, of AWS Signature Version 4.
// @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

import { KmsError } from '../kms-error.ts'

const ALGORITHM = 'AWS4-HMAC-SHA256'
const FIELDS =
  /^AWS4-HMAC-SHA256 +Credential=([^, ]+), *SignedHeaders=([^, ]+), *Signature=([^, ]+)$/
const CREDENTIAL = /^([\w]{16,128})\/(\d{8})\/([a-z0-9-]{1,64})\/([a-z0-9-]{1,64})\/aws4_request$/
const MAX_SIGNED_HEADERS = 64

/** Who claims to have signed, for what, and which headers. */
export interface Authorization {
  readonly accessKeyId: string
  /** YYYYMMDD. */
  readonly date: string
  readonly region: string
  readonly service: string
  /** Lower-case, sorted. */
  readonly signedHeaders: readonly string[]
  /** 64 hexadecimal digits. */
  readonly signature: string
  /** Of a request that is signed in its query string. */
  readonly presigned?: Presigned
}

/** What a presigned request has in its query string instead of headers. */
export interface Presigned {
  /** As X-Amz-Date. */
  readonly time: string
  /** How long the signature is valid from then on. */
  readonly expiresMs: number
  readonly token: string | undefined
  readonly contentSha256: string | undefined
  /** Whether the operation is named there. */
  readonly hasTarget: boolean
  readonly canonicalQuery: string
}

/** @throws KmsError IncompleteSignatureException, MissingAuthenticationTokenException. */
export function parseAuthorization(header: string | undefined): Authorization {
  if (header === undefined)
    throw new KmsError('MissingAuthenticationTokenException', 'Missing Authentication Token')
  if (!header.startsWith(`${ALGORITHM} `))
    throw incomplete(`Unsupported AWS 'algorithm': the Authorization header is not ${ALGORITHM}`)
  const [, credential = '', signedHeaders = '', signature = ''] = FIELDS.exec(header) ?? []
  return parseCredential({ credential, signedHeaders, signature })
}

/** @throws KmsError IncompleteSignatureException. */
export function parseCredential(given: {
  readonly credential: string
  readonly signedHeaders: string
  readonly signature: string
}): Authorization {
  const { credential, signature } = given
  const [, accessKeyId = '', date = '', region = '', service = ''] =
    CREDENTIAL.exec(credential) ?? []
  if (accessKeyId === '') throw incomplete('the Authorization has no valid Credential')
  const signedHeaders = given.signedHeaders.split(';')
  const isList = signedHeaders.length <= MAX_SIGNED_HEADERS && signedHeaders.every(isLowerCase)
  const isSorted = signedHeaders.every((one, at) => at === 0 || one > (signedHeaders[at - 1] ?? ''))
  if (!isList || !isSorted)
    throw incomplete('SignedHeaders is not a sorted list of lower-case names')
  if (!/^[0-9a-f]{64}$/.test(signature))
    throw incomplete('the Signature is not 64 hexadecimal digits')
  return { accessKeyId, date, region, service, signedHeaders, signature }
}

function isLowerCase(name: string): boolean {
  return /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name)
}

/** The header lacks something, or has it in another form. */
export function incomplete(message: string): KmsError {
  return new KmsError('IncompleteSignatureException', message)
}
