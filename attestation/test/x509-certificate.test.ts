// The certificate profile: what a certificate's DER may be, and nothing else.

import { beforeAll, describe, expect, test } from 'vitest'
import { concatBytes, fromHex } from '../src/bytes.ts'
import type { AttestationErrorCode } from '../src/index.ts'
import { DerReader, TAG } from '../src/x509/der.ts'
import { parseExtensions } from '../src/x509/extensions.ts'
import { parseCertificate } from '../src/x509/index.ts'
import { expectCode } from './expect-error.ts'
import {
  basicConstraints,
  extendedKeyUsage,
  issue,
  keyUsage,
  maySign,
  unknownExtension,
  type CertificateShape,
  type Extension,
  type Identity,
} from './issuer/authority.ts'
import { bits, boolean, integer, octets, oid, sequence } from './issuer/der-writer.ts'
import { leafShape, rootShape } from './issuer/document.ts'

type Changes = Partial<CertificateShape>

const emptyExtension = (oid: string): Extension => ({
  oid,
  critical: false,
  value: new Uint8Array(),
})
const nameConstraints: Extension = { oid: '551d1e', critical: false, value: sequence() }

describe('parseCertificate', () => {
  let root: Identity
  beforeAll(async () => {
    root = await issue(rootShape())
  })

  const malformed: readonly [claim: string, changes: Changes, code: AttestationErrorCode][] = [
    [
      'a critical unknown extension',
      { extensions: [unknownExtension(true)] },
      'ERR_X509_EXTENSION',
    ],
    ['name constraints, critical or not', { extensions: [nameConstraints] }, 'ERR_X509_EXTENSION'],
    [
      'an extension that occurs twice',
      { extensions: [maySign(), maySign()] },
      'ERR_X509_EXTENSION',
    ],
    [
      'an extendedKeyUsage of nothing',
      { extensions: [extendedKeyUsage([])] },
      'ERR_X509_EXTENSION',
    ],
    ['a pathLen without CA', { extensions: [basicConstraints(false, 1)] }, 'ERR_X509_EXTENSION'],
    ['keyUsage bits that are not minimal', { extensions: [keyUsage(0x80, 0)] }, 'ERR_DER_INVALID'],
    ['version 1', { version: new Uint8Array() }, 'ERR_X509_FORMAT'],
    ['version 2', { version: fromHex('a003020101') }, 'ERR_X509_FORMAT'],
    ['an OID that is padded', { extensions: [emptyExtension('80551d0e')] }, 'ERR_DER_INVALID'],
    ['an OID that does not end', { extensions: [emptyExtension('5583')] }, 'ERR_DER_INVALID'],
    ['an empty OID', { extensions: [emptyExtension('')] }, 'ERR_DER_INVALID'],
    ['a negative serial number', { serialNumber: Uint8Array.of(0x80) }, 'ERR_DER_INVALID'],
    ['the serial number zero', { serialNumber: Uint8Array.of(0) }, 'ERR_DER_INVALID'],
    [
      'a serial number of 21 bytes',
      { serialNumber: new Uint8Array(21).fill(1) },
      'ERR_X509_FORMAT',
    ],
    [
      'ecdsa-with-SHA256 in the signed part',
      { algorithm: sequence(oid('2a8648ce3d040302')) },
      'ERR_X509_ALGORITHM',
    ],
    [
      'ecdsa-with-SHA384 with parameters',
      { algorithm: sequence(oid('2a8648ce3d040303'), fromHex('0500')) },
      'ERR_DER_INVALID',
    ],
  ]
  for (const [claim, changes, code] of malformed) {
    test(`refuses ${claim}`, async () => {
      const { certificate } = await issue({ ...leafShape(), ...changes }, root)
      await expectCode(() => parseCertificate(certificate), code)
    })
  }

  test('refuses trailing bytes, truncation and BER lengths', async () => {
    const der = root.certificate
    const trailing = Uint8Array.of(...der, 0)
    await expectCode(() => parseCertificate(trailing), 'ERR_DER_INVALID')
    for (let n = 0; n < der.length; n++) {
      await expectCode(() => parseCertificate(der.slice(0, n)), 'ERR_DER_INVALID')
    }
    const indefinite = Uint8Array.of(0x30, 0x80, ...der.subarray(4), 0, 0)
    await expectCode(() => parseCertificate(indefinite), 'ERR_DER_INVALID')
    const padded = Uint8Array.of(0x30, 0x83, 0, ...der.subarray(2))
    await expectCode(() => parseCertificate(padded), 'ERR_DER_INVALID')
  })

  const NULL = fromHex('0500')
  const EC = oid('2a8648ce3d0201')
  const P384 = oid('2b81040022')
  const point = Uint8Array.of(4, ...new Uint8Array(96).fill(1))
  const keys: readonly [claim: string, spki: Uint8Array, code: AttestationErrorCode][] = [
    [
      'a point under the OID of RSA',
      sequence(sequence(oid('2a864886f70d010101'), P384), bits(point)),
      'ERR_X509_ALGORITHM',
    ],
    [
      'a point of its length on P-256',
      sequence(sequence(EC, oid('2a8648ce3d030107')), bits(point)),
      'ERR_X509_ALGORITHM',
    ],
    [
      'a compressed point',
      sequence(sequence(EC, P384), bits(Uint8Array.of(2, ...new Uint8Array(48)))),
      'ERR_X509_ALGORITHM',
    ],
    [
      'a point in hybrid form',
      sequence(sequence(EC, P384), bits(Uint8Array.of(6, ...new Uint8Array(96)))),
      'ERR_X509_ALGORITHM',
    ],
    [
      'parameters after the curve',
      sequence(sequence(EC, P384, NULL), bits(point)),
      'ERR_DER_INVALID',
    ],
    ['two points', sequence(sequence(EC, P384), bits(point), bits(point)), 'ERR_DER_INVALID'],
  ]
  test.each(keys)('refuses a key with %s', async (_, spki, code) => {
    const shape = { ...leafShape(), keys: root.keys }
    await issue({ ...shape, spki: sequence(sequence(EC, P384), bits(point)) }, root).then(
      ({ certificate }) => parseCertificate(certificate),
    )
    const { certificate } = await issue({ ...shape, spki }, root)
    await expectCode(() => parseCertificate(certificate), code)
  })

  test('refuses an element after the signature or the extensions', async () => {
    const contents = root.certificate.slice(4)
    const tbs = new DerReader(contents).whole(TAG.sequence)
    const signature = contents.slice(tbs.length)
    parseCertificate(sequence(sequence(tbs.slice(4)), signature))
    for (const longer of [
      sequence(tbs, signature, NULL),
      sequence(sequence(tbs.slice(4), NULL), signature),
    ])
      await expectCode(() => parseCertificate(longer), 'ERR_DER_INVALID')
  })

  test('reads GeneralizedTime from 2050 on', async () => {
    const notAfterMs = Date.UTC(9999, 11, 31, 23, 59, 59)
    const { certificate } = await issue({ ...rootShape(), notAfterMs })
    expect(parseCertificate(certificate).notAfterMs).toBe(notAfterMs)
  })
})

describe('extensions', () => {
  const basic = (...fields: readonly Uint8Array[]) =>
    sequence(oid('551d13'), octets(sequence(...fields)))
  const zero = integer(Uint8Array.of(0))
  const usage = bits(Uint8Array.of(0x80), 7)
  const wrong: readonly [claim: string, der: Uint8Array, code: AttestationErrorCode][] = [
    ['an empty list', new Uint8Array(), 'ERR_X509_EXTENSION'],
    [
      'a stated default of critical',
      sequence(oid('2a0304'), boolean(false), octets(zero)),
      'ERR_DER_INVALID',
    ],
    ['a second value', sequence(oid('2a0304'), octets(zero), octets(zero)), 'ERR_DER_INVALID'],
    ['a stated default of cA', basic(boolean(false)), 'ERR_DER_INVALID'],
    [
      'a pathLen of two bytes',
      basic(boolean(true), integer(Uint8Array.of(1, 0))),
      'ERR_X509_EXTENSION',
    ],
    ['a negative pathLen', basic(boolean(true), fromHex('020180')), 'ERR_X509_EXTENSION'],
    ['a second pathLen', basic(boolean(true), zero, zero), 'ERR_DER_INVALID'],
    [
      'a second keyUsage in one extension',
      sequence(oid('551d0f'), octets(concatBytes(usage, usage))),
      'ERR_DER_INVALID',
    ],
  ]
  test.each(wrong)('with %s are refused', async (_, der, code) => {
    await expectCode(() => parseExtensions(new DerReader(der)), code)
  })
})
