// cloister sign-eif, as a person who knows nitro-cli's calls it: keys of every kind of file, in one step
// and in two.

import {
  chmodSync,
  copyFileSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { readEif } from '../../src/eif/index.ts'
import { decodeSignatureSection } from '../../src/eif/signature-section.ts'
import { sourceOfBytes } from '../../src/files/index.ts'
import { awsDescribe } from '../fixtures/aws-eif.ts'
import { assemble, golden, goldenBytes, hex, mendCrc } from '../fixtures/eif/golden.ts'
import { CURVES, signingHost } from '../fixtures/signing-keys.ts'
import type { CliResult, TestHost } from '../host.ts'

interface Signed {
  readonly Measurements: Readonly<Record<string, string>>
}

let host: TestHost

beforeAll(async () => {
  host = await signingHost()
})

afterAll(() => {
  host.discard()
})

/** Signs a copy of the golden image, or of another one; returns what was printed and the image. */
async function sign(
  key: string,
  { from = 'golden.eif', curve = 'P-384', prefix = '' } = {},
): Promise<{ readonly result: CliResult; readonly image: Uint8Array }> {
  if (from !== 'app.eif') copyFileSync(host.path(from), host.path('app.eif'))
  const command = 'cloister sign-eif --eif-path app.eif'
  const script = `${prefix} ${command} --signing-certificate ${curve}.crt ${key}`
  const result = await host.shell(script)
  return { result, image: new Uint8Array(readFileSync(host.path('app.eif'))) }
}

async function signed(key: string, options = {}): Promise<Uint8Array> {
  const { result, image } = await sign(key, options)
  expect(result.status, result.stderr).toBe(0)
  return image
}

describe('sign-eif', () => {
  test("prints nitro-cli's text, and keeps the file's permissions", async () => {
    copyFileSync(host.path('golden.eif'), host.path('app.eif'))
    chmodSync(host.path('app.eif'), 0o640)
    const { result } = await sign('--private-key P-384.key', { from: 'app.eif' })
    expect(result).toMatchObject({ status: 0, stderr: 'Enclave Image successfully signed.\n' })
    const { Measurements } = JSON.parse(result.stdout) as Signed
    const pcr8 = await host.json<{ readonly PCR8: string }>(
      ...['pcr', '--signing-certificate', host.path('P-384.crt')],
    )
    expect(Measurements).toEqual({
      ...{ HashAlgorithm: 'Sha384 { ... }', ...pcr8 },
      PCR0: golden.measurements.PCR0,
      PCR1: golden.measurements.PCR1,
      PCR2: golden.measurements.PCR2,
    })
    expect(statSync(host.path('app.eif')).mode & 0o777).toBe(0o640)
    expect(readdirSync(host.directory).filter((name) => name.startsWith('.'))).toEqual([])
  })

  test.each(CURVES)(
    "gives the same bytes each time, which AWS's reader takes: %s",
    async (curve) => {
      const image = await signed(`--private-key ${curve}.key`, { curve })
      expect(hex(await signed(`--private-key ${curve}.key`, { curve }))).toBe(hex(image))
      const good = { CheckCRC: true, SignatureCheck: true, Runnable: true }
      expect(awsDescribe(host.path('app.eif'))).toMatchObject(good)
    },
  )

  test('replaces a signature, wherever it lies, by one of another length', async () => {
    const fresh = await signed('--private-key P-521.key', { curve: 'P-521' })
    await signed('--private-key P-256.key', { curve: 'P-256' })
    const again = await signed('--private-key P-521.key', { curve: 'P-521', from: 'app.eif' })
    expect(hex(again)).toBe(hex(fresh))
    // The signature before the ramdisks, an image with an empty ramdisk, and both.
    for (const emptied of [undefined, 3]) {
      const unsigned = assemble([0, 1, 2, 3, 4], {}, emptied)
      writeFileSync(host.path('other.eif'), unsigned)
      const last = await signed('--private-key P-256.key', { curve: 'P-256', from: 'other.eif' })
      writeFileSync(host.path('moved.eif'), await withSignatureThird(last))
      const moved = await signed('--private-key P-256.key', { curve: 'P-256', from: 'moved.eif' })
      expect(hex(moved)).toBe(hex(last))
    }
  })

  test('writes to another file, and leaves the given one alone', async () => {
    const image = await signed('--private-key P-384.key')
    const unsigned = await signed('--private-key P-384.key --output-file other.eif')
    expect(hex(unsigned)).toBe(hex(goldenBytes))
    expect(hex(readFileSync(host.path('other.eif')))).toBe(hex(image))
  })
})

describe('a key', () => {
  let expected: string

  beforeAll(async () => {
    expected = hex(await signed('--private-key P-384.key'))
    const make = `openssl ec -in P-384.key -out sec1.pem &&
      openssl pkcs8 -topk8 -in P-384.key -passout pass:word -out encrypted.pem &&
      openssl pkcs12 -export -inkey P-384.key -in P-384.crt -passout pass:word -out key.p12 &&
      openssl pkcs12 -export -legacy -inkey P-384.key -in P-384.crt -passout pass:word -out old.p12 &&
      openssl pkcs12 -export -inkey P-384.key -in P-384.crt -passout pass: -out empty.p12 &&
      openssl pkcs12 -export -nokeys -in P-384.crt -passout pass:word -out nokey.p12 &&
      openssl genrsa -out rsa.pem 2048 && printf 'word\\n' > password`
    const { status, stderr } = await host.shell(make)
    expect(status, stderr).toBe(0)
  })

  test.each([
    ['in PEM, SEC1', 'sec1.pem', ''],
    ['in PEM, encrypted PKCS#8', 'encrypted.pem --private-key-password-file password', ''],
    ['in PKCS#12', 'key.p12 --private-key-password-file password', ''],
    ['in PKCS#12 of OpenSSL 1', 'old.p12', 'CLOISTER_PRIVATE_KEY_PASSWORD=word'],
    ['in PKCS#12 with an empty password', 'empty.p12', 'CLOISTER_PRIVATE_KEY_PASSWORD='],
  ])('%s gives the same signature', async (_, key, prefix) => {
    expect(hex(await signed(`--private-key ${key}`, { prefix }))).toBe(expected)
  })

  test.each([
    ['ERR_SIGNING_KEY', 'that is missing', 'missing.pem', ''],
    ['ERR_SIGNING_KEY', 'that is a certificate', 'P-384.crt', ''],
    ['ERR_SIGNING_KEY', 'that is encrypted, without a password', 'encrypted.pem </dev/null', ''],
    [
      'ERR_SIGNING_KEY',
      'with a wrong password',
      'encrypted.pem',
      'CLOISTER_PRIVATE_KEY_PASSWORD=x',
    ],
    ['ERR_SIGNING_KEY', 'in PKCS#12, without a password', 'key.p12', ''],
    [
      'ERR_SIGNING_KEY',
      'in PKCS#12, with a wrong one',
      'key.p12',
      'CLOISTER_PRIVATE_KEY_PASSWORD=x',
    ],
    [
      'ERR_SIGNING_KEY',
      'not in its PKCS#12 file',
      'nokey.p12',
      'CLOISTER_PRIVATE_KEY_PASSWORD=word',
    ],
    ['ERR_EIF_SIGNING', 'that is not of the certificate', 'P-256.key', ''],
    ['ERR_EIF_SIGNING', 'for RSA', 'rsa.pem', ''],
  ])('%s: %s is refused, and the image is untouched', async (code, _, key, prefix) => {
    const { result, image } = await sign(`--private-key ${key}`, { prefix })
    expect(result).toMatchObject({ status: 60, stdout: '' })
    expect(result.stderr).toContain(`[ E60 ] ${code}: `)
    expect(hex(image)).toBe(hex(goldenBytes))
  })

  test.each([
    ['no key', ''],
    ['two ways', '--private-key P-384.key --import-signature x'],
  ])('%s is an error of the arguments', async (_, flags) => {
    const { result } = await sign(flags)
    expect(result.stderr).toContain('ERR_CLI_ARGUMENT')
  })
})

describe('in two steps', () => {
  test.each(CURVES)('openssl signs what was exported, with a key on %s', async (curve) => {
    const hash = { 'P-256': 'sha256', 'P-384': 'sha384', 'P-521': 'sha512' }[curve]
    const exported = await sign('--export-to-be-signed app.tbs', { curve })
    expect(exported.result).toMatchObject({ status: 0, stderr: '' })
    expect(hex(exported.image)).toBe(hex(goldenBytes))
    const make = `openssl dgst -${hash} -sign ${curve}.key -out der.sig app.tbs`
    expect((await host.shell(make)).status).toBe(0)
    const image = await signed('--import-signature der.sig', { curve })
    expect(awsDescribe(host.path('app.eif'))).toMatchObject({ CheckCRC: true, Runnable: true })
    const size = { 'P-256': 64, 'P-384': 96, 'P-521': 132 }[curve]
    const raw = await rawSignature(image, size)
    writeFileSync(host.path('raw.sig'), raw)
    expect(hex(await signed('--import-signature raw.sig', { curve }))).toBe(hex(image))
  })

  test('a signature of another image, of another key, or damaged is refused', async () => {
    await sign('--export-to-be-signed app.tbs')
    const make = `openssl dgst -sha384 -sign P-384.key -out good.sig app.tbs &&
      openssl dgst -sha384 -sign P-256.key -out key.sig app.tbs &&
      openssl dgst -sha384 -sign P-384.key -out image.sig golden.eif &&
      head -c 50 good.sig > short.sig && cp app.tbs noise.sig && : > empty.sig`
    expect((await host.shell(make)).status).toBe(0)
    await signed('--import-signature good.sig')
    for (const name of ['key', 'image', 'short', 'noise', 'empty']) {
      const { result, image } = await sign(`--import-signature ${name}.sig`)
      expect(result.stderr, name).toContain('[ E60 ] ERR_EIF_SIGNING: ')
      expect(hex(image)).toBe(hex(goldenBytes))
    }
  })
})

/** The signature in a signed image, as r || s. */
async function rawSignature(image: Uint8Array, size: number): Promise<Uint8Array> {
  const { sections } = await readEif(sourceOfBytes(image))
  const { offset = 0 } = sections.find(({ type }) => type === 'signature') ?? {}
  return decodeSignatureSection(image.subarray(offset)).signature.slice(-size)
}

/** A signed image whose signature is the third section, with a table and CRC that fit. */
async function withSignatureThird(image: Uint8Array): Promise<Uint8Array> {
  const { sections } = await readEif(sourceOfBytes(image))
  const parts = sections.map(({ offset, size }) => image.subarray(offset - 12, offset + size))
  const last = parts.pop()
  if (last === undefined) throw new Error('no section')
  const moved = Buffer.concat([image.subarray(0, 548), ...parts.toSpliced(2, 0, last)])
  return refit(moved, parts.toSpliced(2, 0, last))
}

function refit(bytes: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  let offset = 548
  for (const [index, part] of parts.entries()) {
    view.setBigUint64(0x1c + 8 * index, BigInt(offset))
    view.setBigUint64(0x11c + 8 * index, BigInt(part.length - 12))
    offset += part.length
  }
  return mendCrc(bytes)
}
