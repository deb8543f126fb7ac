// CiphertextForRecipient: AWS's own vectors opened, and ours opened by openssl.

import { execFileSync } from 'node:child_process'
import { createHash, createPrivateKey, createPublicKey, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { envelop, envelopAuthenticated } from '../../../src/kms/recipient/cms.ts'
import { flipped } from '../../fixtures/kms/broker-suite.ts'
import { openCms } from '../../fixtures/kms/open-cms.ts'
import { rsaPair } from '../../fixtures/kms/platform.ts'
import { temporaryDirectory } from '../../fixtures/temporary-directory.ts'

const { privateKey } = rsaPair(3072)
const publicKey = createPublicKey(privateKey)
const ours =
  process.env['CLOISTER_VECTORS'] ?? resolve(import.meta.dirname, '../../../../shared/vectors')
const vectors = join(ours, 'cms')

describe('what the broker encodes', () => {
  test.each([
    ['EnvelopedData', envelop],
    ['AuthEnvelopedData', envelopAuthenticated],
  ])('is opened by openssl, for contents of every length: %s', async (_, seal) => {
    await using directory = await temporaryDirectory()
    const [key, file] = [directory.join('key.pem'), directory.join('cms.der')]
    writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }))
    for (const length of [0, 1, 15, 16, 32, 2400, 4096]) {
      const plaintext = randomBytes(length)
      writeFileSync(file, seal(plaintext, publicKey))
      const args = ['cms', '-decrypt', '-binary', '-inform', 'DER', '-in', file, '-inkey', key]
      expect(execFileSync('openssl', args).equals(plaintext), String(length)).toBe(true)
    }
  })

  test('is refused by openssl when one bit of AuthEnvelopedData was changed', async () => {
    await using directory = await temporaryDirectory()
    const [key, file] = [directory.join('key.pem'), directory.join('cms.der')]
    writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const cms = envelopAuthenticated(Buffer.from('a secret'), publicKey)
    // The last octets are the MAC, and the ends of five values.
    writeFileSync(file, flipped(cms, cms.length - 11))
    const args = ['cms', '-decrypt', '-binary', '-inform', 'DER', '-in', file, '-inkey', key]
    expect(() => execFileSync('openssl', args, { stdio: 'ignore' })).toThrow()
  })

  test('is opened by a client’s own reader, whatever is in it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (plaintext) => {
        expect(openCms(envelop(plaintext, publicKey), privateKey).equals(plaintext)).toBe(true)
      }),
      { numRuns: 50 },
    )
  })

  test('has AWS’s form byte for byte, but for the key, the IV and what is encrypted', () => {
    const rsa2048 = rsaPair()
    const cms = Buffer.from(envelop(randomBytes(32), createPublicKey(rsa2048.privateKey)))
    expect(cms.length).toBe(493)
    const reference = join(vectors, 'sdkc-input-ber.der')
    const id = createHash('sha256').update(rsa2048.spki).digest()
    expect(cms.includes(id)).toBe(true)
    if (!existsSync(reference)) return
    const aws = readFileSync(reference)
    const same = [...cms.keys()].filter((at) => cms[at] === aws[at]).length
    const varying = 32 + 256 + 16 + 48
    expect(cms.length).toBe(aws.length)
    expect(same).toBeGreaterThanOrEqual(cms.length - varying)
    expect(cms.subarray(0, 33).equals(aws.subarray(0, 33))).toBe(true)
  })

  test.skipIf(!existsSync(vectors))('is read as AWS’s is', () => {
    const key = createPrivateKey({
      ...{ key: readFileSync(join(vectors, 'enclaver-test-key.pk8.der')), format: 'der' },
      type: 'pkcs8',
    })
    const cms = readFileSync(join(vectors, 'enclaver-hello-world.der'))
    expect(openCms(cms, key).toString()).toBe('Hello, World')
  })
})
