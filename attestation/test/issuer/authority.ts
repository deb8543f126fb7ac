// A certificate authority for tests: P-384 certificates of any shape, right or wrong.

import { fromHex } from '../../src/bytes.ts'
import { bits, boolean, der, integer, name, octets, oid, sequence, time } from './der-writer.ts'

const ECDSA = { name: 'ECDSA', namedCurve: 'P-384' } as const
const ECDSA_SHA384 = { name: 'ECDSA', hash: 'SHA-384' } as const
const ALGORITHM = sequence(oid('2a8648ce3d040303'))

type SigningKey = Parameters<typeof crypto.subtle.exportKey>[1]

/** An ECDSA P-384 key pair. */
export interface KeyPair {
  readonly privateKey: SigningKey
  readonly publicKey: SigningKey
}

/** A key and the certificate that goes with it. */
export interface Identity {
  readonly keys: KeyPair
  readonly subject: Uint8Array
  readonly certificate: Uint8Array<ArrayBuffer>
}

export interface Extension {
  readonly oid: string
  readonly critical: boolean
  readonly value: Uint8Array
}

/** What a certificate says; everything can be made wrong on purpose. */
export interface CertificateShape {
  readonly subject: Readonly<Record<string, string>>
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly extensions: readonly Extension[]
  /** With its tag; version 3 by default. */
  readonly version?: Uint8Array
  /** DER INTEGER contents; 1 by default. */
  readonly serialNumber?: Uint8Array
  readonly issuerName?: Uint8Array
  /** AlgorithmIdentifier inside the TBSCertificate. */
  readonly algorithm?: Uint8Array
  /** DER Name to use instead of `subject`. */
  readonly subjectName?: Uint8Array
  /** New ones by default. */
  readonly keys?: KeyPair
  /** DER SubjectPublicKeyInfo to show instead of that of the keys. */
  readonly spki?: Uint8Array
}

export const generateKeys = (): Promise<KeyPair> =>
  crypto.subtle.generateKey(ECDSA, true, ['sign', 'verify'])

/** r || s, 96 bytes. */
export async function signRaw(
  { privateKey }: KeyPair,
  message: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.sign(ECDSA_SHA384, privateKey, message))
}

/** Issues a certificate; without an issuer it is self-signed. */
export async function issue(shape: CertificateShape, issuer?: Identity): Promise<Identity> {
  const keys = shape.keys ?? (await generateKeys())
  const subject = shape.subjectName ?? name(shape.subject)
  const signer = issuer ?? { keys, subject }
  const tbs = sequence(
    shape.version ?? fromHex('a003020102'),
    der(0x02, shape.serialNumber ?? Uint8Array.of(1)),
    shape.algorithm ?? ALGORITHM,
    shape.issuerName ?? signer.subject,
    sequence(time(shape.notBeforeMs), time(shape.notAfterMs)),
    subject,
    shape.spki ?? new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey)),
    ...extensionsOf(shape.extensions),
  )
  return { keys, subject, certificate: await signCertificate(tbs, signer.keys) }
}

/** Signs a TBSCertificate as it stands. */
export async function signCertificate(
  tbs: Uint8Array<ArrayBuffer>,
  keys: KeyPair,
): Promise<Uint8Array<ArrayBuffer>> {
  const raw = await signRaw(keys, tbs)
  const value = sequence(integer(raw.subarray(0, 48)), integer(raw.subarray(48)))
  return sequence(tbs, ALGORITHM, bits(value))
}

/** basicConstraints, critical. */
export function basicConstraints(ca: boolean, pathLength?: number): Extension {
  const length = pathLength === undefined ? [] : [der(0x02, Uint8Array.of(pathLength))]
  const value = sequence(...(ca ? [boolean(true)] : []), ...length)
  return { oid: '551d13', critical: true, value }
}

/** keyUsage, critical: `80 07` digitalSignature, `04 02` keyCertSign, `06 01` with cRLSign. */
export function keyUsage(byte: number, unused: number): Extension {
  return { oid: '551d0f', critical: true, value: bits(Uint8Array.of(byte), unused) }
}

/** extendedKeyUsage with these purposes: the DER contents of their OIDs in hexadecimal. */
export function extendedKeyUsage(purposes: readonly string[], critical = false): Extension {
  return { oid: '551d25', critical, value: sequence(...purposes.map(oid)) }
}

/** An extension that nobody knows, 1.2.3.4. */
export const unknownExtension = (critical: boolean): Extension => ({
  oid: '2a0304',
  critical,
  value: octets(new Uint8Array(1)),
})

export const mayIssue = (): Extension => keyUsage(0x04, 2)
export const maySign = (): Extension => keyUsage(0x80, 7)

function extensionsOf(extensions: readonly Extension[]): readonly Uint8Array[] {
  if (extensions.length === 0) return []
  const encoded = extensions.map(({ oid: type, critical, value }) =>
    sequence(oid(type), ...(critical ? [boolean(true)] : []), octets(value)),
  )
  return [der(0xa3, sequence(...encoded))]
}
