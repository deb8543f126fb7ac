// From a payload's certificates and the caller's roots to one validated path.

import { AttestationError, check } from './errors.ts'
import { equalBytes } from './bytes.ts'
import type { Payload } from './document/payload.ts'
import { prepareKey, rememberedCertificate, rememberPath } from './signature/remembering-crypto.ts'
import type { WebCrypto } from './signature/webcrypto.ts'
import {
  formatName,
  parseCertificate,
  type Certificate,
  type CertificatePath,
  type DistinguishedName,
} from './x509/index.ts'
import { checkPath, MAX_PATH_CERTIFICATES, verifyPathSignatures } from './x509/path.ts'

/** What a chain is validated with. */
export interface ChainContext {
  readonly roots: readonly Certificate[]
  readonly atMs: number
  readonly crypto: WebCrypto
}

/**
 * Validates the path root, INTERM_1 … INTERM_N, leaf. The root is one of the caller's whose name
 * issued the certificate below it; `cabundle[0]` must parse, and is not an anchor.
 * @throws AttestationError ERR_CHAIN_*, ERR_CERTIFICATE_*, ERR_X509_*, ERR_DER_INVALID.
 */
export async function verifyChain(
  payload: Payload,
  { roots, atMs, crypto }: ChainContext,
): Promise<CertificatePath> {
  const failures: unknown[] = []
  for (const path of candidatePaths(payload, roots, crypto)) {
    try {
      checkPath(path, atMs)
      const { publicKey } = leafOf(path)
      await Promise.all([prepareKey(publicKey, crypto), verifyPathSignatures(path, crypto)])
      rememberPath(path, crypto)
      return path
    } catch (error) {
      failures.push(error)
    }
  }
  throw failures[0]
}

/** The last certificate of a path. */
export function leafOf(path: CertificatePath): Certificate {
  return path.at(-1) ?? path[0]
}

/** The certificates of the payload under every root of the right name: at least one path. */
function candidatePaths(
  payload: Payload,
  roots: readonly Certificate[],
  crypto: WebCrypto,
): readonly CertificatePath[] {
  const below = parseBelow(
    payload,
    (der) => rememberedCertificate(der, crypto) ?? roots.find((root) => equalBytes(root.der, der)),
  )
  const issuer = below[0]?.issuer
  const candidates = roots.filter(
    ({ subject }) => issuer !== undefined && equalBytes(subject.der, issuer.der),
  )
  if (candidates.length === 0) throw untrusted(issuer, roots)
  return candidates.map((root) => [root, ...below])
}

function untrusted(
  issuer: DistinguishedName | undefined,
  roots: readonly Certificate[],
): AttestationError {
  const names = roots.map(({ subject }) => formatName(subject))
  const details = { issuer: issuer ? formatName(issuer) : null, roots: names }
  const message = 'the chain does not lead to a trusted root'
  return new AttestationError('ERR_CHAIN_ROOT_UNTRUSTED', message, { details })
}

function parseBelow(
  { certificate, cabundle }: Payload,
  known: (der: Uint8Array) => Certificate | undefined,
): readonly Certificate[] {
  const length = cabundle.length + 1
  check(
    length <= MAX_PATH_CERTIFICATES,
    'ERR_CHAIN_LENGTH',
    `the chain has ${length} certificates, at most ${MAX_PATH_CERTIFICATES} are accepted`,
    { length },
  )
  const path: Certificate[] = []
  for (const der of [...cabundle, certificate]) {
    path.push(known(der) ?? parseNext(der, path, cabundle.length))
  }
  return path.slice(1)
}

/** Parses a copy of the certificate that comes next; an error says which one it was. */
function parseNext(der: Uint8Array, above: readonly Certificate[], leaf: number): Certificate {
  try {
    return parseCertificate(der.slice(), above.at(-1))
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error
    const label = above.length === leaf ? 'certificate' : `cabundle[${above.length}]`
    const details = { ...error.details, certificate: label }
    throw new AttestationError(error.code, `${label}: ${error.message}`, { details, cause: error })
  }
}
