// x509-limbo's cases that say something about a chain of fixed order, by their names there.

import { fromHex } from '../../../src/bytes.ts'
import type { AttestationErrorCode } from '../../../src/index.ts'
import { basicConstraints, extendedKeyUsage, type Identity } from '../../issuer/authority.ts'
import { der, oid, sequence } from '../../issuer/der-writer.ts'
import {
  authorityKeyIdentifier,

  cycle,
  EKU,
  explicitCurveKey,
  extension,
  intermediateCa,
  keyUsage,
  leafCertificate,
  notCritical,
  OTHER_KEYS,
  rootCa,
  SUBJECT_ALTERNATIVE_NAME,
  subjectKeyIdentifier,
  UNKNOWN_CRITICAL,
  type Changes,
} from './certificates.ts'

/** A root to trust, and the chain that a document carries. */
export interface LimboChain {
  readonly trusted: readonly Identity[]
  /** From the top down; the leaf is the last one. */
  readonly sent: readonly Identity[]
  readonly atMs?: number
}

/** Why limbo and this verifier differ; SOURCE.md explains. */
type Difference =
  | 'keyUsage'
  | 'leaf'
  | 'identifiers'
  | 'restrictions'
  | 'fraction'
  | 'selfIssued'
  | 'webProfile'
  | 'notRead'

/** One case: what limbo expects and what this verifier says. */
export interface LimboCase {
  readonly id: string
  readonly limbo: 'SUCCESS' | 'FAILURE'
  readonly outcome: 'accepted' | AttestationErrorCode
  readonly differs?: Difference
  readonly build: () => Promise<LimboChain>
}

interface Shapes {
  readonly root?: Changes
  readonly intermediates?: readonly (readonly [pathLength: number | undefined, changes?: Changes])[]
  readonly leaf?: Changes
  readonly atMs?: number
}

/** Root, intermediates and leaf. */
async function chain({ root = {}, intermediates = [], leaf = {}, atMs }: Shapes): Promise<LimboChain> {
  const top = await rootCa(root)
  const sent = [top]
  for (const [pathLength, changes] of intermediates) {
    sent.push(await intermediateCa(sent.at(-1) ?? top, pathLength, changes))
  }
  sent.push(await leafCertificate(sent.at(-1) ?? top, leaf))
  return { trusted: [top], sent, ...(atMs === undefined ? {} : { atMs }) }
}

const valid = (id: string, shapes: Shapes): LimboCase => ({
  id,
  limbo: 'SUCCESS',
  outcome: 'accepted',
  build: () => chain(shapes),
})
const invalid = (id: string, outcome: AttestationErrorCode, shapes: Shapes): LimboCase => ({
  id,
  limbo: 'FAILURE',
  outcome,
  build: () => chain(shapes),
})
const differing = (differs: Difference, one: LimboCase, outcome: LimboCase['outcome']): LimboCase => ({
  ...one,
  differs,
  outcome,
})

const withExtensions = (changes: NonNullable<Changes['extensions']>): Changes => ({ extensions: changes })
const eku = (...purposes: readonly string[]): Changes => withExtensions({ eku: extendedKeyUsage(purposes) })
const noUsage = withExtensions({ ku: keyUsage(0x02, 1) })
const ca = withExtensions({ bc: basicConstraints(true) })
const aia = (critical: boolean) => extension('2b06010505070101', critical, sequence())
const nameConstraints = (critical: boolean) =>
  withExtensions({
    nc: extension('551d1e', critical, sequence(der(0xa0, sequence(der(0x82, fromHex('61')))))),
  })
const year = (from: number, to: number): Changes => ({
  notBeforeMs: Date.UTC(from, 0, 1),
  notAfterMs: Date.UTC(to, 0, 1),
})
const in2022 = Date.UTC(2022, 0, 1)
const SECOND: Changes = { notBeforeMs: Date.UTC(2024, 2, 1, 0, 0, 1), notAfterMs: Date.UTC(2024, 3, 1) }
const limits = (atMs: number): Shapes => ({ root: SECOND, intermediates: [[undefined, SECOND]], leaf: SECOND, atMs })

const RFC5280: readonly LimboCase[] = [
  invalid('rfc5280::ee-empty-issuer', 'ERR_X509_FORMAT', { leaf: { issuerName: sequence() } }),
  invalid('rfc5280::ca-empty-subject', 'ERR_X509_FORMAT', { root: { subjectName: sequence() } }),
  invalid('rfc5280::unknown-critical-extension-ee', 'ERR_X509_EXTENSION', { leaf: withExtensions({ UNKNOWN_CRITICAL }) }),
  invalid('rfc5280::unknown-critical-extension-root', 'ERR_X509_EXTENSION', { root: withExtensions({ UNKNOWN_CRITICAL }) }),
  invalid('rfc5280::unknown-critical-extension-intermediate', 'ERR_X509_EXTENSION', {
    intermediates: [[0, withExtensions({ UNKNOWN_CRITICAL })]],
  }),
  {
    ...invalid('rfc5280::chain-untrusted-root', 'ERR_CHAIN_ROOT_UNTRUSTED', {}),
    build: async () => ({
      ...(await chain({ intermediates: [[0]] })),
      trusted: [await rootCa({ subject: { CN: 'x509-limbo-unrelated-root' } })],
    }),
  },
  invalid('rfc5280::intermediate-ca-without-ca-bit', 'ERR_CHAIN_NOT_A_CA', {
    intermediates: [[undefined, withExtensions({ bc: basicConstraints(false) })]],
  }),
  invalid('rfc5280::intermediate-ca-missing-basic-constraints', 'ERR_CHAIN_NOT_A_CA', {
    intermediates: [[undefined, withExtensions({ bc: undefined })]],
  }),
  invalid('rfc5280::root-missing-basic-constraints', 'ERR_CHAIN_NOT_A_CA', { root: withExtensions({ bc: undefined }) }),
  invalid('rfc5280::root-non-critical-basic-constraints', 'ERR_CHAIN_NOT_A_CA', {
    root: withExtensions({ bc: notCritical(basicConstraints(true)) }),
  }),
  invalid('rfc5280::root-inconsistent-ca-extensions', 'ERR_CHAIN_NOT_A_CA', { root: noUsage }),
  invalid('rfc5280::ica-ku-keycertsign', 'ERR_CHAIN_NOT_A_CA', { intermediates: [[0, noUsage]] }),
  invalid('rfc5280::leaf-ku-keycertsign', 'ERR_CHAIN_LEAF', { leaf: withExtensions({ ku: keyUsage(0x84, 2) }) }),
  valid('rfc5280::ee-aia', { leaf: withExtensions({ aia: aia(false) }) }),
  invalid('rfc5280::ee-critical-aia-invalid', 'ERR_X509_EXTENSION', { leaf: withExtensions({ aia: aia(true) }) }),
  invalid('rfc5280::duplicate-extensions', 'ERR_X509_EXTENSION', {
    leaf: withExtensions({ again: SUBJECT_ALTERNATIVE_NAME }),
  }),
  valid('rfc5280::no-basicconstraints', { leaf: withExtensions({ bc: undefined }) }),
  invalid('rfc5280::mismatching-signature-algorithm', 'ERR_X509_ALGORITHM', {
    root: { algorithm: sequence(oid('2a8648ce3d040302')) },
  }),
  differing('keyUsage', valid('rfc5280::no-keyusage', { leaf: withExtensions({ ku: undefined }) }), 'ERR_CHAIN_LEAF'),
  differing('leaf', valid('rfc5280::ca-as-leaf', { leaf: ca }), 'ERR_CHAIN_LEAF'),
  invalid('rfc5280::aki::critical-aki', 'ERR_X509_EXTENSION', { root: withExtensions({ aki: authorityKeyIdentifier(true) }) }),
  valid('rfc5280::aki::self-signed-root-missing-aki', { root: withExtensions({ aki: undefined }) }),
  differing(
    'identifiers',
    invalid('rfc5280::aki::leaf-missing-aki', 'ERR_X509_EXTENSION', { leaf: withExtensions({ aki: undefined }) }),
    'accepted',
  ),
  differing(
    'identifiers',
    invalid('rfc5280::aki::intermediate-missing-aki', 'ERR_X509_EXTENSION', {
      intermediates: [[0, withExtensions({ aki: undefined })]],
    }),
    'accepted',
  ),
  invalid('rfc5280::ski::critical-ski', 'ERR_X509_EXTENSION', { root: withExtensions({ ski: subjectKeyIdentifier(true) }) }),
  differing(
    'identifiers',
    invalid('rfc5280::ski::root-missing-ski', 'ERR_X509_EXTENSION', { root: withExtensions({ ski: undefined }) }),
    'accepted',
  ),
  differing(
    'identifiers',
    invalid('rfc5280::ski::intermediate-missing-ski', 'ERR_X509_EXTENSION', {
      intermediates: [[undefined, withExtensions({ ski: undefined })]],
    }),
    'accepted',
  ),
  invalid('rfc5280::eku::ee-wrong-eku', 'ERR_CHAIN_PURPOSE', { leaf: eku(EKU.clientAuth) }),
  valid('rfc5280::eku::ee-without-eku', { leaf: withExtensions({ eku: undefined }) }),
  invalid('rfc5280::nc::permitted-dns-match-noncritical', 'ERR_X509_EXTENSION', { root: nameConstraints(false) }),
  differing('restrictions', valid('rfc5280::nc::permitted-dns-match', { root: nameConstraints(true) }), 'ERR_X509_EXTENSION'),
  invalid('rfc5280::pc::ica-noncritical-pc', 'ERR_X509_EXTENSION', {
    intermediates: [[undefined, withExtensions({ pc: extension('551d24', false, sequence(der(0x80, Uint8Array.of(3)))) })]],
  }),
  invalid('rfc5280::serial::too-long', 'ERR_X509_FORMAT', { leaf: { serialNumber: new Uint8Array(22).fill(1) } }),
  invalid('rfc5280::serial::zero', 'ERR_DER_INVALID', { leaf: { serialNumber: Uint8Array.of(0) } }),
  invalid('rfc5280::serial::negative', 'ERR_DER_INVALID', { leaf: { serialNumber: Uint8Array.of(0xff) } }),
  invalid('rfc5280::validity::expired-root', 'ERR_CERTIFICATE_EXPIRED', { root: year(2016, 2020), atMs: in2022 }),
  invalid('rfc5280::validity::expired-intermediate', 'ERR_CERTIFICATE_EXPIRED', {
    intermediates: [[undefined, year(2016, 2020)]],
    atMs: in2022,
  }),
  invalid('rfc5280::validity::expired-leaf', 'ERR_CERTIFICATE_EXPIRED', { leaf: year(2018, 2021), atMs: in2022 }),
  valid('rfc5280::validity::notbefore-exact', limits(Date.UTC(2024, 2, 1, 0, 0, 1))),
  invalid('rfc5280::validity::notbefore-fractional', 'ERR_CERTIFICATE_NOT_YET_VALID', limits(Date.UTC(2024, 2, 1, 0, 0, 0, 999))),
  valid('rfc5280::validity::notafter-exact', limits(Date.UTC(2024, 3, 1))),
  differing('fraction', valid('rfc5280::validity::notafter-fractional', limits(Date.UTC(2024, 3, 1, 0, 0, 0, 5))), 'ERR_CERTIFICATE_EXPIRED'),
]

const PATHLEN: readonly LimboCase[] = [
  valid('pathlen::ee-with-intermediate-pathlen-0', { intermediates: [[0]] }),
  valid('pathlen::ee-with-intermediate-pathlen-1', { intermediates: [[1]] }),
  valid('pathlen::ee-with-intermediate-pathlen-2', { intermediates: [[2]] }),
  valid('pathlen::intermediate-pathlen-may-increase', { intermediates: [[1], [2]] }),
  invalid('pathlen::intermediate-violates-pathlen-0', 'ERR_CHAIN_PATH_LENGTH', { intermediates: [[0], [0]] }),
  invalid('pathlen::intermediate-pathlen-too-long', 'ERR_CHAIN_PATH_LENGTH', { intermediates: [[1], [0], [0]] }),
  differing(
    'selfIssued',
    valid('pathlen::self-issued-certs-pathlen', {
      intermediates: [
        [1, { subject: { CN: 'ica' } }],
        [1, { subject: { CN: 'ica' } }],
        [0],
      ],
    }),
    'ERR_CHAIN_PATH_LENGTH',
  ),
  differing(
    'leaf',
    valid('pathlen::validation-ignores-pathlen-in-leaf', {
      intermediates: [[0]],
      leaf: withExtensions({ bc: basicConstraints(true, 0), ku: keyUsage(0x84, 2) }),
    }),
    'ERR_CHAIN_LEAF',
  ),
]

const PURPOSES: readonly LimboCase[] = [
  invalid('webpki::eku::ee-clientauth-only', 'ERR_CHAIN_PURPOSE', { leaf: eku(EKU.clientAuth) }),
  invalid('smime::eku::ee-missing-email-protection', 'ERR_CHAIN_PURPOSE', { leaf: eku(EKU.serverAuth) }),
  invalid('smime::eku::intermediate-missing-email-protection', 'ERR_CHAIN_PURPOSE', { intermediates: [[0, eku(EKU.serverAuth)]] }),
  invalid('smime::ku::ee-key-cert-sign', 'ERR_CHAIN_LEAF', { leaf: withExtensions({ ku: { ...keyUsage(0x84, 2), critical: true } }) }),
  invalid('smime::ku::ee-missing-key-usage', 'ERR_CHAIN_LEAF', { leaf: withExtensions({ ku: undefined }) }),
  invalid('smime::ku::intermediate-missing-key-cert-sign', 'ERR_CHAIN_NOT_A_CA', { intermediates: [[0, noUsage]] }),
  valid('webpki::eku::ee-serverauth-with-additional', { leaf: eku(EKU.attestation, EKU.clientAuth) }),
  differing('webProfile', invalid('webpki::eku::ee-anyeku', 'ERR_CHAIN_PURPOSE', { leaf: eku(EKU.attestation, EKU.any) }), 'accepted'),
  differing('webProfile', invalid('webpki::eku::ee-codesigning-with-serverauth', 'ERR_CHAIN_PURPOSE', { leaf: eku(EKU.attestation, EKU.codeSigning) }), 'accepted'),
  differing(
    'webProfile',
    invalid('webpki::eku::ee-critical-eku', 'ERR_CHAIN_PURPOSE', {
      leaf: withExtensions({ eku: extendedKeyUsage([EKU.attestation], true) }),
    }),
    'accepted',
  ),
  differing('webProfile', invalid('webpki::eku::root-has-eku', 'ERR_CHAIN_PURPOSE', { root: eku(EKU.serverAuth) }), 'accepted'),
]

const WEBPKI: readonly LimboCase[] = [
  {
    ...invalid('webpki::explicit-curve', 'ERR_X509_ALGORITHM', {}),
    build: async () => chain({ leaf: (await explicitCurveKey()) as Changes }),
  },
  invalid('webpki::forbidden-p192-leaf', 'ERR_X509_ALGORITHM', { leaf: { spki: OTHER_KEYS.p192 } }),
  invalid('webpki::forbidden-dsa-leaf', 'ERR_X509_ALGORITHM', { leaf: { spki: OTHER_KEYS.dsa } }),
  invalid('webpki::v1-cert', 'ERR_X509_FORMAT', { leaf: { version: new Uint8Array(), extensions: { bc: undefined, ku: undefined, eku: undefined, san: undefined, aki: undefined, ski: undefined } } }),
  invalid('webpki::ee-basicconstraints-ca', 'ERR_CHAIN_LEAF', { leaf: ca }),
  invalid('webpki::ca-as-leaf', 'ERR_CHAIN_LEAF', { leaf: withExtensions({ bc: basicConstraints(true), ku: keyUsage(0x04, 2) }) }),
  invalid('webpki::san::san-critical-with-nonempty-subject', 'ERR_X509_EXTENSION', {
    leaf: withExtensions({ san: { ...SUBJECT_ALTERNATIVE_NAME, critical: true } }),
  }),
  differing('notRead', invalid('webpki::malformed-aia', 'ERR_X509_EXTENSION', { leaf: withExtensions({ aia: extension('2b06010505070101', false, new TextEncoder().encode('malformed')) }) }), 'accepted'),
  invalid('invalid::invalid-issuer-key', 'ERR_X509_ALGORITHM', { intermediates: [[undefined, { spki: OTHER_KEYS.malformedRsa }]] }),
]

const PATHOLOGICAL: readonly LimboCase[] = [
  ...[false, true].map((sameName): LimboCase => ({
    id: sameName ? 'pathological::intermediate-cycle-same-logical-ca' : 'pathological::intermediate-cycle-distinct-cas',
    limbo: 'FAILURE',
    outcome: 'ERR_CHAIN_ROOT_UNTRUSTED',
    build: async () => {
      const [first, second] = await cycle(sameName)
      return { trusted: [await rootCa()], sent: [second, first, second, first, await leafCertificate(first)] }
    },
  })),
]

export const LIMBO_CASES: readonly LimboCase[] = [...RFC5280, ...PATHLEN, ...PURPOSES, ...WEBPKI, ...PATHOLOGICAL]
