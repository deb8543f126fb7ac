// What ./node-crypto accepts does not depend on how it imports a key, nor on the runtime's OpenSSL.

import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { nodeCrypto } from '@cloister/attestation/node-crypto'
import { encodeEcdsaSigValue } from '../../node/crypto/ecdsa-sig-value.ts'
import { fastestImport, importDerPoint, importRawPoint } from '../../node/crypto/import-point.ts'
import { fromHex } from '../../src/bytes.ts'
import { decodeEcdsaSignature } from '../../src/x509/ecdsa-signature.ts'

interface Vectors {
  readonly testGroups: readonly {
    readonly publicKey: { readonly uncompressed: string }
    readonly tests: readonly {
      readonly tcId: number
      readonly msg: string
      readonly sig: string
      readonly result: 'valid' | 'invalid'
    }[]
  }[]
}

const ES384 = { name: 'ECDSA', hash: 'SHA-384' } as const
const importers = [
  ['a raw point', importRawPoint],
  ['DER', importDerPoint],
] as const

const file = new URL(
  '../vectors/wycheproof/ecdsa_secp384r1_sha384_p1363_test.json',
  import.meta.url,
)
const { testGroups } = JSON.parse(await readFile(file, 'utf8')) as Vectors
const generator = fromHex(
  '04' +
    'aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7' +
    '3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f',
)

/** The generator of P-384 with one change. */
const changed = (change: (point: Uint8Array) => unknown) => {
  const point = generator.slice()
  change(point)
  return point
}

describe.each(importers)('a key imported from %s', (_name, importPoint) => {
  test('agrees with every result of Wycheproof', async () => {
    const wrong: number[] = []
    for (const { publicKey, tests } of testGroups) {
      const key = await importPoint(fromHex(publicKey.uncompressed))
      for (const { tcId, msg, sig, result } of tests) {
        const accepted = await nodeCrypto.subtle.verify(ES384, key, fromHex(sig), fromHex(msg))
        if (accepted !== (result === 'valid')) wrong.push(tcId)
      }
    }
    expect(wrong).toEqual([])
  })

  test.each([
    ['off the curve', changed((point) => (point[96] = 0))],
    ['with a coordinate that is no element of the field', changed((point) => point.fill(0xff, 1))],
    ['at zero', changed((point) => point.fill(0, 1))],
    ['without its last byte', generator.slice(0, -1)],
    ['with a byte more', new Uint8Array([...generator, 0])],
    ['of no bytes', new Uint8Array()],
    ['of infinity', Uint8Array.of(0)],
  ])('is none for a point %s', async (_case, point) => {
    await expect(importPoint(point)).rejects.toThrow()
  })

  test('is the same key', async () => {
    const key = await importPoint(generator)
    expect(key.equals(await importRawPoint(generator))).toBe(true)
    expect(key.asymmetricKeyDetails).toEqual({ namedCurve: 'secp384r1' })
  })
})

test('DER is imported where OpenSSL keeps its decoders, since 3.2', () => {
  for (const version of ['3.2.0', '3.5.8', '3.10.1', '4.0.0']) {
    expect(fastestImport(version)).toBe(importDerPoint)
  }
  for (const version of ['3.0.19', '3.1.8', '1.1.1w', '0.0.0', '', undefined]) {
    expect(fastestImport(version)).toBe(importRawPoint)
  }
})

test('a signature survives the way to DER and back, in the shortest form', () => {
  for (const [first, second] of [
    [1, 1],
    [0x7f, 0x80],
    [0x80, 0xff],
    [0x81, 1],
  ] as const) {
    for (const leading of [0, 1, 30, 47]) {
      const signature = new Uint8Array(96).fill(0x55)
      signature.fill(0, 0, leading).fill(0, 48, 48 + leading)
      signature[leading] = first
      signature[48 + leading] = second
      expect(decodeEcdsaSignature(encodeEcdsaSigValue(signature))).toEqual(signature)
    }
  }
  const zero = encodeEcdsaSigValue(new Uint8Array(96))
  expect([...zero]).toEqual([0x30, 6, 2, 1, 0, 2, 1, 0])
})

test('a key of another WebCrypto is a TypeError, a signature of another length a wrong one', async () => {
  const { subtle } = nodeCrypto
  const message = new Uint8Array(1)
  const raw = generator
  const p384 = { name: 'ECDSA', namedCurve: 'P-384' } as const
  const foreign = await crypto.subtle.importKey('raw', raw, p384, false, ['verify'])
  const one = new Uint8Array(96).fill(1)
  await expect(subtle.verify(ES384, foreign, one, message)).rejects.toThrow(TypeError)
  const key = await subtle.importKey('raw', raw, p384, false, ['verify'])
  for (const length of [0, 95, 97, 98]) {
    const signature = new Uint8Array(length).fill(1)
    expect(await subtle.verify(ES384, key, signature, message)).toBe(false)
  }
})
