// From a payload's certificates and the caller's roots to one validated path.

import { AttestationError, check } from './errors.ts'
import { equalBytes } from './bytes.ts'
import type { Payload } from './document/payload.ts'
import type { SignatureSession } from './signature/session.ts'
import {
  formatName,
  parseCertificate,
  type Certificate,
  type CertificatePath,
} from './x509/index.ts'
import { checkPath, MAX_PATH_CERTIFICATES, verifyPathSignatures } from './x509/path.ts'

/** What a chain is validated with. */
export interface ChainContext {
  readonly roots: readonly Certificate[]
  readonly atMs: number
  readonly session: SignatureSession
}

/**
 * Validates the path root, INTERM_1 … INTERM_N, leaf. The root is one of the caller's whose name
 * issued the certificate below it; `cabundle[0]` must parse, and is no anchor.
 * @throws AttestationError ERR_CHAIN_*, ERR_CERTIFICATE_*, ERR_X509_*, ERR_DER_INVALID.
 */
export async function verifyChain(
  payload: Payload,
  { roots, atMs, session }: ChainContext,
): Promise<CertificatePath> {
  const failures: unknown[] = []
  for (const path of candidatePaths(payload, roots)) {
    try {
      checkPath(path, atMs)
      await verifyPathSignatures(path, session)
      return path
    } catch (error) {
      failures.push(error)
    }
  }
  throw failures[0]
}

/** The certificates of the payload under every root of the right name: at least one path. */
function candidatePaths(
  payload: Payload,
  roots: readonly Certificate[],
): readonly CertificatePath[] {
  const below = parseBelow(payload)
  const issuer = below[0]?.issuer
  const candidates = roots.filter(
    ({ subject }) => issuer !== undefined && equalBytes(subject.der, issuer.der),
  )
  check(
    candidates.length > 0,
    'ERR_CHAIN_ROOT_UNTRUSTED',
    'the chain does not lead to a trusted root',
    { issuer: issuer ? formatName(issuer) : null, roots: roots.map((r) => formatName(r.subject)) },
  )
  return candidates.map((root) => [root, ...below])
}

function parseBelow({ certificate, cabundle }: Payload): readonly Certificate[] {
  const length = cabundle.length + 1
  check(
    length <= MAX_PATH_CERTIFICATES,
    'ERR_CHAIN_LENGTH',
    `the chain has ${length} certificates, at most ${MAX_PATH_CERTIFICATES} are accepted`,
    { length },
  )
  const given = cabundle.map((der, i) => ({ der, label: `cabundle[${i}]` }))
  return [...given, { der: certificate, label: 'certificate' }].map(parseLabelled).slice(1)
}

/** Parses a certificate; an error says which one it was. */
function parseLabelled({ der, label }: { der: Uint8Array; label: string }): Certificate {
  try {
    return parseCertificate(der)
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error
    const details = { ...error.details, certificate: label }
    throw new AttestationError(error.code, `${label}: ${error.message}`, { details, cause: error })
  }
}
