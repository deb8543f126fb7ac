// Checks AWS Signature Version 4 of one request: POST /, signed in the header or in the query string, whole body
// hashed. In order: the form; region and service; which headers are signed; the body's hash; the clock; the key that
// signed; the signature. A body that is signed in chunks, or not at all, is refused. Left out: SigV4A.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { KmsError } from '../kms-error.ts'
import {
  incomplete,
  parseAuthorization,
  type Authorization,
  type Presigned,
} from './authorization.ts'
import type { AccessKey, Credentials, Principal } from './credentials-file.ts'
import { parsePresigned } from './presigned.ts'

/** A request as it came, with its whole body. */
export interface SignedRequest {
  readonly method: string
  /** Path and query. */
  readonly url: string
  /** Name, value, name, value, as received. */
  readonly rawHeaders: readonly string[]
  readonly body: Uint8Array
}

/** AWS's own tolerance. */
const MAX_SKEW_MS = 5 * 60 * 1000
/** What decides about a request must be signed. */
const MUST_BE_SIGNED = ['host', 'x-amz-date', 'x-amz-target'] as const
/** AWS has them for S3 and a few others: STREAMING-AWS4-HMAC-SHA256-PAYLOAD, UNSIGNED-PAYLOAD. */
const OTHER_PAYLOADS = /^(STREAMING|UNSIGNED)-/
const TIME = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/

/**
 * Who signed a request.
 * @throws KmsError IncompleteSignatureException, InvalidSignatureException, UnrecognizedClientException,
 * ExpiredTokenException, MissingAuthenticationTokenException.
 */
export function authenticate(
  request: SignedRequest,
  { credentials, region, nowMs }: { credentials: Credentials; region: string; nowMs: number },
): Principal {
  const headers = headersOf(request.rawHeaders)
  const authorization = authorizationOf(request, headers)
  const { presigned } = authorization
  checkScope(authorization, region)
  checkSignedHeaders(authorization, headers)
  const bodyHash = sha256(request.body)
  checkBodyHash(bodyHash, presigned ? presigned.contentSha256 : headers.get('x-amz-content-sha256'))
  const time = presigned?.time ?? headers.get('x-amz-date') ?? ''
  checkTime(time, authorization, nowMs)
  const key = credentials.keys.get(authorization.accessKeyId)
  checkSignature(request, { authorization, headers, time, bodyHash, key })
  const token = presigned ? presigned.token : headers.get('x-amz-security-token')
  return principalOf(key, token, nowMs)
}

/** Signed in one place: in two, one of them would not be checked. */
function authorizationOf({ url }: SignedRequest, headers: Headers): Authorization {
  if (url === '/') return parseAuthorization(headers.get('authorization'))
  if (headers.has('authorization'))
    throw incomplete('a request is signed in its header or in its query string, not in both')
  return parsePresigned(url)
}

type Headers = ReadonlyMap<string, string>

function headersOf(raw: readonly string[]): Headers {
  const headers = new Map<string, string>()
  for (let at = 0; at < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase()
    if (headers.has(name)) throw incomplete(`the header ${name} is there twice`)
    headers.set(name, (raw[at + 1] ?? '').trim().replace(/ +/g, ' '))
  }
  return headers
}

function checkScope({ region, service }: Authorization, expected: string): void {
  if (region !== expected)
    throw rejected(`Credential should be scoped to a valid region: this broker's is ${expected}.`)
  if (service !== 'kms') throw rejected("Credential should be scoped to correct service: 'kms'.")
}

/** Every x-amz-* header counts, too: a session token that is not signed could be exchanged. */
function checkSignedHeaders({ signedHeaders, presigned }: Authorization, headers: Headers): void {
  const counting = [...headers.keys()].filter((name) => /^x-(amz|cloister)-/.test(name))
  for (const name of [...mustBeSigned(presigned), ...counting]) {
    if (!headers.has(name)) throw incomplete(`the header ${name} is missing`)
    if (!signedHeaders.includes(name)) throw incomplete(`the header ${name} is not signed`)
  }
  for (const name of signedHeaders) {
    if (!headers.has(name)) throw incomplete(`the signed header ${name} is missing`)
  }
  if (presigned?.hasTarget === true && headers.has('x-amz-target'))
    throw incomplete('X-Amz-Target is in the query string and in a header')
}

/** What a presigned request has in its query string is signed there. */
function mustBeSigned(presigned: Presigned | undefined): readonly string[] {
  if (presigned === undefined) return MUST_BE_SIGNED
  return presigned.hasTarget ? ['host'] : ['host', 'x-amz-target']
}

function checkBodyHash(bodyHash: string, claimed: string | undefined): void {
  if (claimed === undefined) return
  if (OTHER_PAYLOADS.test(claimed))
    throw rejected(`${claimed}: the body must be signed as a whole.`)
  if (claimed !== bodyHash) throw rejected('x-amz-content-sha256 is not the hash of the body.')
}

function checkTime(time: string, { date, presigned }: Authorization, nowMs: number): void {
  if (!TIME.test(time)) throw incomplete('x-amz-date is not YYYYMMDDTHHMMSSZ')
  const atMs = Date.parse(time.replace(TIME, '$1-$2-$3T$4:$5:$6Z'))
  if (Number.isNaN(atMs)) throw incomplete('x-amz-date is not a date')
  if (!time.startsWith(date)) throw rejected('Date in Credential scope does not match x-amz-date.')
  const now = (): string => new Date(nowMs).toISOString()
  if (presigned === undefined && atMs < nowMs - MAX_SKEW_MS)
    throw rejected(`Signature expired: ${time} is more than 5 minutes before ${now()}.`)
  if (presigned !== undefined && atMs + presigned.expiresMs < nowMs)
    throw rejected(`Signature expired: ${time} is more than X-Amz-Expires before ${now()}.`)
  if (atMs > nowMs + MAX_SKEW_MS)
    throw rejected(`Signature not yet current: ${time} is more than 5 minutes after ${now()}.`)
}

interface Signed {
  readonly authorization: Authorization
  readonly headers: Headers
  readonly time: string
  /** SHA-256 of the body, hexadecimal. */
  readonly bodyHash: string
  /** Undefined if there is none by the name in the request. */
  readonly key: AccessKey | undefined
}

function checkSignature(request: SignedRequest, signed: Signed): void {
  const { authorization, time, key } = signed
  const { date, region, service, signature } = authorization
  const scope = `${date}/${region}/${service}/aws4_request`
  const canonical = sha256(Buffer.from(canonicalRequest(request, signed)))
  const expected = hmac(signingKey(key, scope), `AWS4-HMAC-SHA256\n${time}\n${scope}\n${canonical}`)
  if (timingSafeEqual(expected, Buffer.from(signature, 'hex')) && key !== undefined) return
  if (key === undefined)
    throw new KmsError(
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
    )
  throw rejected(
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.',
  )
}

/** By access key: the last one derived, and for which scope. */
const signingKeys = new WeakMap<
  AccessKey,
  { readonly scope: string; readonly signingKey: Buffer }
>()

/** An access key's key for a day, region and service, which is derived once. */
function signingKey(key: AccessKey | undefined, scope: string): Buffer {
  const known = key && signingKeys.get(key)
  if (known?.scope === scope) return known.signingKey
  const [first = '', ...others] = scope.split('/')
  const derived = others.reduce<Buffer>(hmac, hmac(`AWS4${key?.secret ?? ''}`, first))
  if (key) signingKeys.set(key, { scope, signingKey: derived })
  return derived
}

function canonicalRequest({ method }: SignedRequest, signed: Signed): string {
  const { signedHeaders } = signed.authorization
  const lines = signedHeaders.map((name) => `${name}:${signed.headers.get(name) ?? ''}\n`)
  const query = signed.authorization.presigned?.canonicalQuery ?? ''
  return [method, '/', query, lines.join(''), signedHeaders.join(';'), signed.bodyHash].join('\n')
}

function principalOf(
  key: AccessKey | undefined,
  token: string | undefined,
  nowMs: number,
): Principal {
  const isRight = key !== undefined && (key.sessionToken ?? undefined) === token
  if (!isRight)
    throw new KmsError(
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
    )
  if (key.expiresMs !== null && key.expiresMs <= nowMs)
    throw new KmsError(
      'ExpiredTokenException',
      'The security token included in the request is expired',
    )
  return key.principal
}

function rejected(message: string): KmsError {
  return new KmsError('InvalidSignatureException', message)
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
