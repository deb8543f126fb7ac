// The certificates that x509-limbo builds by default, with P-384 keys: what its `root_ca`,
// `intermediate_ca` and `leaf_cert` make, and what a case changes in them.

import { fromHex } from '../../../src/bytes.ts'
import {
  basicConstraints,
  extendedKeyUsage,
  generateKeys,
  issue,
  type CertificateShape,
  type Extension,
  type Identity,
} from '../../issuer/authority.ts'
import { bits, der, octets, sequence } from '../../issuer/der-writer.ts'

export const AT_MS = Date.UTC(2024, 2, 15)
/** Purposes, by the DER contents of their OIDs. */
export const EKU = {
  attestation: '6781050803', // 2.23.133.8.3, where limbo has serverAuth
  any: '551d2500', // 2.5.29.37.0
  serverAuth: '2b06010505070301',
  clientAuth: '2b06010505070302',
  codeSigning: '2b06010505070303',
  emailProtection: '2b06010505070304',
} as const

type Named = Readonly<Record<string, Extension | undefined>>

/** What a case changes; an extension that is `undefined` is left out. */
export interface Changes extends Partial<Omit<CertificateShape, 'extensions'>> {
  readonly extensions?: Named
}

/** Not critical, as limbo has it: bits from the left, digitalSignature first. */
export const keyUsage = (byte: number, unused: number): Extension => ({
  oid: '551d0f',
  critical: false,
  value: bits(Uint8Array.of(byte), unused),
})
const KEY_CERT_SIGN = keyUsage(0x04, 2)

export const extension = (oid: string, critical: boolean, value: Uint8Array): Extension => ({
  oid,
  critical,
  value,
})
/** 1.3.6.1.4.1.55738.666.1, which nobody knows. */
export const UNKNOWN_CRITICAL = extension('2b0601040183b33a851a01', true, new Uint8Array())
export const notCritical = (known: Extension): Extension => ({ ...known, critical: false })

const dnsName = der(0x82, new TextEncoder().encode('example.com'))
export const SUBJECT_ALTERNATIVE_NAME = extension('551d11', false, sequence(dnsName))
const identifier = (value: number) => new Uint8Array(20).fill(value)
export const subjectKeyIdentifier = (critical = false) =>
  extension('551d0e', critical, octets(identifier(1)))
export const authorityKeyIdentifier = (critical = false) =>
  extension('551d23', critical, sequence(der(0x80, identifier(1))))

const validity = { notBeforeMs: Date.UTC(2016, 0, 1), notAfterMs: Date.UTC(2036, 0, 1) }
const identifiers: Named = { aki: authorityKeyIdentifier(), ski: subjectKeyIdentifier() }

export function rootCa(changes: Changes = {}): Promise<Identity> {
  return make('x509-limbo-root', caExtensions(), changes)
}

export function intermediateCa(
  issuer: Identity,
  pathLength?: number,
  changes: Changes = {},
): Promise<Identity> {
  return make(`x509-limbo-intermediate-${serial}`, caExtensions(pathLength), changes, issuer)
}

export function leafCertificate(issuer: Identity, changes: Changes = {}): Promise<Identity> {
  const extensions = {
    bc: basicConstraints(false),
    ku: keyUsage(0x80, 7),
    eku: extendedKeyUsage([EKU.attestation]),
    san: SUBJECT_ALTERNATIVE_NAME,
    ...identifiers,
  }
  return make('x509-limbo-leaf', extensions, changes, issuer)
}

function caExtensions(pathLength?: number): Named {
  return { bc: basicConstraints(true, pathLength), ku: KEY_CERT_SIGN, ...identifiers }
}

let serial = 1

function make(
  commonName: string,
  standard: Named,
  { extensions, ...changes }: Changes,
  issuer?: Identity,
): Promise<Identity> {
  serial += 1
  const chosen = Object.values({ ...standard, ...extensions })
  const shape: CertificateShape = {
    subject: { CN: commonName },
    ...validity,
    extensions: chosen.filter((one): one is Extension => one !== undefined),
    ...changes,
  }
  return issue(shape, issuer)
}

/** Two CAs that certify each other and nobody above: `first` is signed by the key of `second`. */
export async function cycle(sameName: boolean): Promise<readonly [Identity, Identity]> {
  const names = sameName ? ['cycle', 'cycle'] : ['cycle-1', 'cycle-2']
  const [a, b] = [await rootCa({ subject: { CN: names[0] ?? '' } }), await rootCa({ subject: { CN: names[1] ?? '' } })]
  const first = await intermediateCa(b, undefined, { subject: { CN: names[0] ?? '' }, keys: a.keys })
  const second = await intermediateCa(a, undefined, { subject: { CN: names[1] ?? '' }, keys: b.keys })
  return [first, second]
}

/** SubjectPublicKeyInfo of a P-384 key whose curve is given by its parameters (SEC 1, C.2). */
export async function explicitCurveKey(): Promise<{ keys: CertificateShape['keys']; spki: Uint8Array }> {
  const keys = await generateKeys()
  const point = new Uint8Array(await crypto.subtle.exportKey('raw', keys.publicKey))
  return { keys, spki: sequence(sequence(EC_PUBLIC_KEY, P384_PARAMETERS), bits(point)) }
}

const EC_PUBLIC_KEY = der(0x06, fromHex('2a8648ce3d0201'))
const prime = `${'ff'.repeat(31)}feffffffff0000000000000000ffffffff`
const order = `${'ff'.repeat(24)}c7634d81f4372ddf581a0db248b0a77aecec196accc52973`
const a = `${prime.slice(0, -1)}c`
const b =
  'b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef'
const generator =
  '04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7' +
  '3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f'
const positive = (hex: string) => der(0x02, fromHex(`00${hex}`))
const P384_PARAMETERS = sequence(
  der(0x02, Uint8Array.of(1)),
  sequence(der(0x06, fromHex('2a8648ce3d0101')), positive(prime)),
  sequence(octets(fromHex(a)), octets(fromHex(b))),
  octets(fromHex(generator)),
  positive(order),
  der(0x02, Uint8Array.of(1)),
)

/** A key of another named curve or algorithm, as it stands in a certificate. */
export const OTHER_KEYS = {
  p192: sequence(sequence(EC_PUBLIC_KEY, der(0x06, fromHex('2a8648ce3d030101'))), bits(new Uint8Array(49).fill(4))),
  dsa: sequence(sequence(der(0x06, fromHex('2a8648ce380401'))), bits(Uint8Array.of(2, 1, 5))),
  malformedRsa: fromHex('3012300d06092a864886f70d0101010500030100'),
} as const
