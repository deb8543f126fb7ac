// Certification path validation (RFC 5280 section 6.1) from a pinned root to one leaf, for chains of
// P-384 certificates. Left out: policies, name constraints (refused), revocation (AWS says not to
// use its CRLs; leaves live three hours).

import { equalBytes } from '../bytes.ts'
import { AttestationError, check } from '../errors.ts'
import type { AttestationErrorCode } from '../error-table.ts'
import { verifySignature } from '../signature/verify-signature.ts'
import { runtimeCrypto, type WebCrypto } from '../signature/webcrypto.ts'
import type { Certificate } from './certificate.ts'
import { formatName } from './name.ts'
import { dottedOid, OID } from './oid.ts'

/** Longest accepted path, root and leaf included. AWS's has 5. */
export const MAX_PATH_CERTIFICATES = 10

/** A path that leads from a trusted root (first) down to a leaf (last). */
export type CertificatePath = readonly [root: Certificate, ...below: Certificate[]]

/** When and with what a path is checked. */
export interface ValidatePathOptions {
  /** Every certificate must be valid at this time: milliseconds since the epoch. */
  readonly atMs: number
  /** The runtime's own by default. */
  readonly crypto?: WebCrypto
}

/**
 * Validates a path whose first certificate the caller trusts already. In order, for the whole path:
 * 1. length; 2. each subject is the next one's issuer, as DER; 3. each certificate, the root
 * included, is valid at `atMs`; 4. each issuer is a CA by a critical basicConstraints, with
 * keyCertSign, and its pathLen holds; 5. the leaf is not a CA and has digitalSignature, not
 * keyCertSign; 6. an extendedKeyUsage below the root lists tcg-kp-AIKCertificate; 7. signatures.
 * @throws AttestationError ERR_CHAIN_*, ERR_CERTIFICATE_EXPIRED, ERR_CERTIFICATE_NOT_YET_VALID;
 * RangeError when `atMs` is not a valid time.
 * @see RFC 5280 section 6.1
 */
export async function validatePath(
  path: CertificatePath,
  options: ValidatePathOptions,
): Promise<void> {
  checkPath(path, options.atMs)
  await verifyPathSignatures(path, options.crypto ?? runtimeCrypto())
}

/** Steps 1 to 6 of {@link validatePath}: everything but the signatures. */
export function checkPath(path: CertificatePath, atMs: number): void {
  check(
    path.length >= 2 && path.length <= MAX_PATH_CERTIFICATES,
    'ERR_CHAIN_LENGTH',
    `the chain has ${path.length} certificates, 2 to ${MAX_PATH_CERTIFICATES} are accepted`,
    { length: path.length },
  )
  path.forEach((certificate, i) => {
    const issuer = path[i - 1]
    if (issuer) checkName(issuer, certificate)
  })
  for (const certificate of path) checkValidity(certificate, atMs)
  const leafIndex = path.length - 1
  path.slice(0, leafIndex).forEach((issuer, i) => {
    checkIssuer(issuer, leafIndex - i - 1)
  })
  checkLeaf(path[leafIndex] ?? path[0])
  path.forEach((certificate, i) => {
    checkPurpose(certificate, i === 0)
  })
}

/** Step 7 of {@link validatePath}. */
export async function verifyPathSignatures(
  path: CertificatePath,
  crypto: WebCrypto,
): Promise<void> {
  const subjects = path.slice(1)
  const right = await Promise.all(
    subjects.map(({ signature, tbs }, i) => {
      const { publicKey } = path[i] ?? path[0]
      return verifySignature({ publicKey, signature, message: tbs }, crypto)
    }),
  )
  const wrong = subjects[right.indexOf(false)]
  if (wrong) refuse('ERR_CHAIN_SIGNATURE', wrong, 'is not signed by its issuer')
}

function checkName(issuer: Certificate, subject: Certificate): void {
  if (equalBytes(issuer.subject.der, subject.issuer.der)) return
  refuse('ERR_CHAIN_NAME', subject, 'does not name the certificate above it as issuer')
}

/** Compares milliseconds with whole seconds: both limits are part of the validity. */
function checkValidity(certificate: Certificate, atMs: number): void {
  const { notBeforeMs, notAfterMs } = certificate
  if (notBeforeMs <= atMs && atMs <= notAfterMs) return
  const [at, notBefore, notAfter] = [atMs, notBeforeMs, notAfterMs].map((timeMs) =>
    new Date(timeMs).toISOString(),
  )
  const details = { at, notBefore, notAfter }
  if (atMs > notAfterMs)
    refuse('ERR_CERTIFICATE_EXPIRED', certificate, `ended ${notAfter ?? ''}`, details)
  refuse('ERR_CERTIFICATE_NOT_YET_VALID', certificate, `begins ${notBefore ?? ''}`, details)
}

/** `intermediates`: how many CA certificates follow below this one. Self-issued ones count too. */
function checkIssuer(issuer: Certificate, intermediates: number): void {
  const { basicConstraints, keyUsage } = issuer.extensions
  if (!basicConstraints?.ca || !keyUsage?.keyCertSign) {
    refuse('ERR_CHAIN_NOT_A_CA', issuer, 'may not issue certificates')
  }
  if (!basicConstraints.critical) {
    refuse('ERR_CHAIN_NOT_A_CA', issuer, 'has basicConstraints that are not critical')
  }
  const { pathLength = Infinity } = basicConstraints
  if (intermediates <= pathLength) return
  const details = { pathLength, intermediates }
  refuse('ERR_CHAIN_PATH_LENGTH', issuer, `allows ${pathLength} intermediates below it`, details)
}

function checkLeaf(leaf: Certificate): void {
  const { basicConstraints, keyUsage } = leaf.extensions
  if (basicConstraints?.ca) refuse('ERR_CHAIN_LEAF', leaf, 'is a CA')
  if (!keyUsage?.digitalSignature) refuse('ERR_CHAIN_LEAF', leaf, 'may not sign documents')
  if (keyUsage.keyCertSign) refuse('ERR_CHAIN_LEAF', leaf, 'has keyCertSign without being a CA')
}

/**
 * A key that was certified for something else, such as TLS under the same root, signs no documents.
 * Of the root only a critical extendedKeyUsage counts: the caller chose that certificate.
 */
function checkPurpose(certificate: Certificate, isRoot: boolean): void {
  const { extendedKeyUsage: usage } = certificate.extensions
  if (!usage || usage.purposes.includes(OID.attestationKey) || (isRoot && !usage.critical)) return
  const problem = 'was issued for another purpose than attestation'
  refuse('ERR_CHAIN_PURPOSE', certificate, problem, {
    purposes: usage.purposes.map(dottedOid),
  })
}

function refuse(
  code: AttestationErrorCode,
  certificate: Certificate,
  problem: string,
  details: Readonly<Record<string, unknown>> = {},
): never {
  const subject = formatName(certificate.subject)
  const message = `certificate ${subject} ${problem}`
  throw new AttestationError(code, message, { details: { certificate: subject, ...details } })
}
