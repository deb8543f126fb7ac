// The query string of a presigned request: the signature and all that belongs to it are parameters, in any order, and so
// may be the headers `x-amz-*` of the request. Nothing else is accepted there.
// @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

import { incomplete, parseCredential, type Authorization } from './authorization.ts'

const SIGNATURE = 'X-Amz-Signature'
const TARGET = 'X-Amz-Target'
const REQUIRED = [
  ...['X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Date', 'X-Amz-Expires'],
  ...['X-Amz-SignedHeaders', SIGNATURE],
]
const KNOWN = [
  ...REQUIRED,
  'X-Amz-Security-Token',
  'X-Amz-Content-Sha256',
  TARGET,
  'X-Amz-User-Agent',
]
/** AWS's limit: seven days. */
const MAX_EXPIRES_S = 604_800
const MAX_QUERY = 8192

/** By name; undefined for a request without a query. */
export function presignedTarget(url: string): string | undefined {
  return url === '/' ? undefined : parametersOf(url).get(TARGET)
}

/** @throws KmsError IncompleteSignatureException. */
export function parsePresigned(url: string): Authorization {
  const parameters = parametersOf(url)
  for (const name of REQUIRED)
    if (!parameters.has(name)) throw incomplete(`the query parameter ${name} is missing`)
  const valueOf = (name: string): string => parameters.get(name) ?? ''
  if (valueOf('X-Amz-Algorithm') !== 'AWS4-HMAC-SHA256')
    throw incomplete('X-Amz-Algorithm is not AWS4-HMAC-SHA256')
  const expires = valueOf('X-Amz-Expires')
  const seconds = /^\d{1,6}$/.test(expires) ? Number(expires) : 0
  if (seconds < 1 || seconds > MAX_EXPIRES_S)
    throw incomplete(`X-Amz-Expires is not from 1 to ${String(MAX_EXPIRES_S)} seconds`)
  return {
    ...parseCredential({
      credential: valueOf('X-Amz-Credential'),
      signedHeaders: valueOf('X-Amz-SignedHeaders'),
      signature: valueOf(SIGNATURE),
    }),
    presigned: {
      ...{ time: valueOf('X-Amz-Date'), expiresMs: seconds * 1000 },
      token: parameters.get('X-Amz-Security-Token'),
      contentSha256: parameters.get('X-Amz-Content-Sha256'),
      hasTarget: parameters.has(TARGET),
      canonicalQuery: canonical(parameters),
    },
  }
}

function parametersOf(url: string): ReadonlyMap<string, string> {
  const query = url.slice('/?'.length)
  if (!url.startsWith('/?') || query.length > MAX_QUERY)
    throw incomplete('the query string is malformed or too long')
  const parameters = new Map<string, string>()
  for (const pair of query.split('&')) {
    const [name = '', value = ''] = pair.split(/=([^]*)/, 2).map(decoded)
    if (!KNOWN.includes(name)) throw incomplete(`unknown query parameter ${name.slice(0, 64)}`)
    if (parameters.has(name)) throw incomplete(`the query parameter ${name} is there twice`)
    parameters.set(name, value)
  }
  return parameters
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw incomplete('the query string is not percent-encoded UTF-8')
  }
}

/** All but the signature, encoded and sorted as the signer has to. */
function canonical(parameters: ReadonlyMap<string, string>): string {
  return [...parameters]
    .filter(([name]) => name !== SIGNATURE)
    .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
    .toSorted()
    .join('&')
}

/** RFC 3986: also what encodeURIComponent leaves. */
function encoded(text: string): string {
  const hex = (character: string): string =>
    `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  return encodeURIComponent(text).replace(/[!'()*]/g, hex)
}
