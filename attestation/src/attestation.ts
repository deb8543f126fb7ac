// What a verified document says. The only way to obtain an Attestation is to have it verified.

import { assuranceOf, type Assurance } from './assurance.ts'
import { toHex } from './bytes.ts'
import { jsonable, type Jsonable } from './json.ts'
import type { DocumentKind, Payload } from './document/payload.ts'
import { isDebug, toPcrTable, type PcrTable } from './document/pcrs.ts'
import type { VerifiedTpmEvidence } from './tpm/verify.ts'
import { formatName, type Certificate, type CertificatePath } from './x509/index.ts'

/** One certificate of a chain, for display and records. */
export interface CertificateInfo {
  /** In encoded order, e.g. `C=US, O=Amazon, OU=AWS, CN=aws.nitro-enclaves`. */
  readonly subject: string
  /** Hexadecimal. */
  readonly serialNumber: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly der: Uint8Array
}

/** The fields of a document, as both a verified and an inspected one have them. */
export interface DocumentFields {
  readonly kind: DocumentKind
  readonly moduleId: string
  /** When the document was made: milliseconds since the epoch. */
  readonly timestampMs: number
  readonly pcrs: PcrTable
  /** PCR0, PCR1 or PCR2 is zero: the code was not measured. */
  readonly debug: boolean
  readonly publicKey: Uint8Array | null
  readonly userData: Uint8Array | null
  readonly nonce: Uint8Array | null
}

/** What a verified document says, as plain data. */
export interface AttestationData extends DocumentFields {
  readonly verified: true
  /** The moment the certificates were checked at: milliseconds since the epoch. */
  readonly verifiedAtMs: number
  /** When the first certificate of the chain ends. */
  readonly validUntilMs: number
  readonly assurance: Assurance
  /** The PCRs that were compared with accepted measurements; empty when none were given. */
  readonly matchedPcrs: readonly number[]
  /** From the trusted root down to the leaf. */
  readonly certificates: readonly CertificateInfo[]
  /** What the TPM vouches for; null when the document carries no evidence. */
  readonly tpm: VerifiedTpmEvidence | null
}

/**
 * A verified document: everything here was signed by a key that leads to the caller's root.
 * `JSON.stringify` writes its byte strings as lower-case hexadecimal text.
 */
export interface Attestation extends AttestationData, Jsonable<AttestationData> {}

/** What was verified, to be made into an {@link Attestation}. */
export interface VerifiedParts {
  readonly payload: Payload
  readonly path: CertificatePath
  readonly atMs: number
  readonly tpm: VerifiedTpmEvidence | null
  readonly matchedPcrs: readonly number[]
}

/**
 * Puts verified parts together. PCRs and certificates are converted on first access, from bytes that
 * no other code can reach.
 */
export function attestationOf(parts: VerifiedParts): Attestation {
  const { payload, path, atMs, tpm, matchedPcrs } = parts
  let pcrs: PcrTable | undefined
  let certificates: readonly CertificateInfo[] | undefined
  return jsonable<AttestationData>({
    verified: true,
    ...plainFields(payload),
    get pcrs() {
      return (pcrs ??= toPcrTable(payload.pcrs))
    },
    verifiedAtMs: atMs,
    validUntilMs: Math.min(...path.map(({ notAfterMs }) => notAfterMs)),
    assurance: assuranceOf(path),
    matchedPcrs,
    get certificates() {
      return (certificates ??= path.map(certificateInfo))
    },
    tpm,
  })
}

/** The fields of a payload as callers see them; byte strings are copies. */
export function documentFields(payload: Payload): DocumentFields {
  return { ...plainFields(payload), pcrs: toPcrTable(payload.pcrs) }
}

function plainFields(payload: Payload): Omit<DocumentFields, 'pcrs'> {
  const { kind, moduleId, timestampMs, publicKey, userData, nonce } = payload
  return {
    kind,
    moduleId,
    timestampMs,
    debug: isDebug(payload),
    publicKey: publicKey && publicKey.slice(),
    userData: userData && userData.slice(),
    nonce: nonce && nonce.slice(),
  }
}

function certificateInfo(certificate: Certificate): CertificateInfo {
  const { subject, serialNumber, notBeforeMs, notAfterMs, der } = certificate
  return {
    subject: formatName(subject),
    serialNumber: toHex(serialNumber),
    notBeforeMs,
    notAfterMs,
    der: der.slice(),
  }
}
