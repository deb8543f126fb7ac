// Path validation: one right chain, and every way to be wrong.

import { describe, expect, test } from 'vitest'
import type { AttestationErrorCode } from '../src/index.ts'
import { parseCertificate, validatePath, type CertificatePath } from '../src/x509/index.ts'
import { dottedOid } from '../src/x509/oid.ts'
import { errorOf, expectCode } from './expect-error.ts'
import {
  basicConstraints,
  extendedKeyUsage,
  issue,
  keyUsage,
  mayIssue,
  maySign,
  unknownExtension,
  type CertificateShape,
  type Identity,
} from './issuer/authority.ts'
import { name, oid, sequence } from './issuer/der-writer.ts'
import { chipShape, leafShape, NOW_MS, rootShape } from './issuer/document.ts'

type Changes = Partial<CertificateShape>

/** A path whose certificates differ from the right ones as given. */
async function makePath(changes: { root?: Changes; chip?: Changes; leaf?: Changes } = {}) {
  const root = await issue({ ...rootShape(), ...changes.root })
  const chip = await issue({ ...chipShape(), ...changes.chip }, root)
  const leaf = await issue({ ...leafShape(), ...changes.leaf }, chip)
  return parsePath(root, chip, leaf)
}

function parsePath(...identities: readonly [Identity, ...Identity[]]): CertificatePath {
  const [root, ...below] = identities.map(({ certificate }) => parseCertificate(certificate))
  if (!root) throw new Error('no root')
  return [root, ...below]
}

const now = { atMs: NOW_MS }
const TLS_SERVER = '2b06010505070301'
const ANY_PURPOSE = '551d2500'
const purposes = (shape: CertificateShape, purpose: string, critical = false): Changes => ({
  extensions: [...shape.extensions, extendedKeyUsage([purpose], critical)],
})

describe('an error', () => {
  test('names algorithms and extensions by name or dotted decimal, not by their DER', async () => {
    const { certificate } = await issue({
      ...rootShape(),
      algorithm: sequence(oid('2a8648ce3d040302')),
    })
    const algorithm = await errorOf(() => parseCertificate(certificate))
    expect(algorithm.details).toEqual({ oid: '1.2.840.10045.4.3.2' })
    expect(algorithm.message).toContain('ecdsa-with-SHA256')
    const { certificate: extended } = await issue({
      ...rootShape(),
      extensions: [...rootShape().extensions, unknownExtension(true)],
    })
    const extension = await errorOf(() => parseCertificate(extended))
    expect(extension.details).toEqual({ oid: '1.2.3.4' })
  })

  test('says of long arcs, and of arcs below 2, the same as other tools', () => {
    expect(dottedOid('883703')).toBe('2.999.3')
    expect(dottedOid('2b6501')).toBe('1.3.101.1')
    expect(dottedOid('0992268993f22c640101')).toBe('0.9.2342.19200300.100.1.1')
    expect(dottedOid('6983ffffffffffffffff7f')).toBe('2.25.36893488147419103231')
  })
})

describe('validatePath', () => {
  test('accepts root, host chip and leaf', async () => {
    await validatePath(await makePath(), now)
  })

  test('accepts the first and the last millisecond of the shortest validity', async () => {
    const path = await makePath()
    const { notBeforeMs, notAfterMs } = path[2] ?? path[0]
    await validatePath(path, { atMs: notBeforeMs })
    await validatePath(path, { atMs: notAfterMs })
    await expectCode(
      () => validatePath(path, { atMs: notBeforeMs - 1 }),
      'ERR_CERTIFICATE_NOT_YET_VALID',
    )
    await expectCode(() => validatePath(path, { atMs: notAfterMs + 1 }), 'ERR_CERTIFICATE_EXPIRED')
  })

  test('accepts an unknown extension that is not critical', async () => {
    const extensions = [...leafShape().extensions, unknownExtension(false)]
    await validatePath(await makePath({ leaf: { extensions } }), now)
  })

  test('accepts a leaf without basicConstraints', async () => {
    await validatePath(await makePath({ leaf: { extensions: [maySign()] } }), now)
  })

  const expired = { notBeforeMs: NOW_MS - 9_000_000, notAfterMs: NOW_MS - 5_000_000 }
  const future = { notBeforeMs: NOW_MS + 5_000_000, notAfterMs: NOW_MS + 9_000_000 }
  const cases: readonly [
    claim: string,
    changes: Parameters<typeof makePath>[0],
    code: AttestationErrorCode,
  ][] = [
    ['an expired root', { root: expired }, 'ERR_CERTIFICATE_EXPIRED'],
    ['an expired host chip', { chip: expired }, 'ERR_CERTIFICATE_EXPIRED'],
    ['an expired leaf', { leaf: expired }, 'ERR_CERTIFICATE_EXPIRED'],
    ['a root of the future', { root: future }, 'ERR_CERTIFICATE_NOT_YET_VALID'],
    ['a leaf of the future', { leaf: future }, 'ERR_CERTIFICATE_NOT_YET_VALID'],
    ['another issuer name', { leaf: { issuerName: name({ CN: 'other' }) } }, 'ERR_CHAIN_NAME'],
    [
      'a root without basicConstraints',
      { root: { extensions: [keyUsage(0x06, 1)] } },
      'ERR_CHAIN_NOT_A_CA',
    ],
    [
      'a host chip that is no CA',
      { chip: { extensions: [basicConstraints(false), mayIssue()] } },
      'ERR_CHAIN_NOT_A_CA',
    ],
    [
      'a host chip without keyUsage',
      { chip: { extensions: [basicConstraints(true, 0)] } },
      'ERR_CHAIN_NOT_A_CA',
    ],
    [
      'a host chip without keyCertSign',
      { chip: { extensions: [basicConstraints(true, 0), maySign()] } },
      'ERR_CHAIN_NOT_A_CA',
    ],
    [
      'a root with pathLen 0 above an intermediate',
      { root: { extensions: [basicConstraints(true, 0), mayIssue()] } },
      'ERR_CHAIN_PATH_LENGTH',
    ],
    [
      'a leaf that is a CA',
      { leaf: { extensions: [basicConstraints(true), keyUsage(0x84, 2)] } },
      'ERR_CHAIN_LEAF',
    ],
    [
      'a leaf that was issued for TLS',
      { leaf: purposes(leafShape(), TLS_SERVER) },
      'ERR_CHAIN_PURPOSE',
    ],
    [
      'a leaf that was issued for any purpose',
      { leaf: purposes(leafShape(), ANY_PURPOSE) },
      'ERR_CHAIN_PURPOSE',
    ],
    [
      'a host chip that was issued for TLS',
      { chip: purposes(chipShape(), TLS_SERVER) },
      'ERR_CHAIN_PURPOSE',
    ],
    [
      'a root that is good for TLS only',
      { root: purposes(rootShape(), TLS_SERVER, true) },
      'ERR_CHAIN_PURPOSE',
    ],
    [
      'a leaf without keyUsage',
      { leaf: { extensions: [basicConstraints(false)] } },
      'ERR_CHAIN_LEAF',
    ],
    [
      'a leaf without digitalSignature',
      { leaf: { extensions: [basicConstraints(false), mayIssue()] } },
      'ERR_CHAIN_LEAF',
    ],
  ]
  for (const [claim, changes, code] of cases) {
    test(`refuses ${claim}`, async () => {
      const path = await makePath(changes)
      await expectCode(() => validatePath(path, now), code)
    })
  }

  test('refuses a host chip with pathLen 0 that issued another CA', async () => {
    const root = await issue(rootShape())
    const chip = await issue(chipShape(), root)
    const rogue = await issue({ ...chipShape(), subject: { CN: 'rogue' } }, chip)
    const leaf = await issue(leafShape(), rogue)
    const path = parsePath(root, chip, rogue, leaf)
    await expectCode(() => validatePath(path, now), 'ERR_CHAIN_PATH_LENGTH')
  })

  test('refuses a leaf that issued another leaf', async () => {
    const root = await issue(rootShape())
    const first = await issue(leafShape(), root)
    const second = await issue({ ...leafShape(), subject: { CN: 'second' } }, first)
    const path = parsePath(root, first, second)
    await expectCode(() => validatePath(path, now), 'ERR_CHAIN_NOT_A_CA')
  })

  test('refuses a chain of another root with the same name', async () => {
    const [root, other] = [await issue(rootShape()), await issue(rootShape())]
    const chip = await issue(chipShape(), other)
    const leaf = await issue(leafShape(), chip)
    const path = parsePath(root, chip, leaf)
    await expectCode(() => validatePath(path, now), 'ERR_CHAIN_SIGNATURE')
  })

  test('refuses a path of one certificate and of eleven', async () => {
    const [root] = await makePath()
    const long = [root, ...Array.from({ length: 10 }, () => root)] as const
    await expectCode(() => validatePath([root], now), 'ERR_CHAIN_LENGTH')
    await expectCode(() => validatePath([long[0], ...long.slice(1)], now), 'ERR_CHAIN_LENGTH')
  })
})
