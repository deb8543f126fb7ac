// Signatures made with the right key over something else than `verifyPcr0` stands for: only the form
// tells them apart, so each rule of the form is tried by itself.

import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { describe, expect, it } from 'vitest'

import { encodeCbor, type CborInput } from '../../../src/cbor.ts'
import { CloisterError } from '../../../src/errors.ts'
import { signPcr0, verifyPcr0 } from '../../../src/eif/cose-signature.ts'
import { deterministicKey, makeSigner } from '../../../src/eif/index.ts'
import { openPemKey } from '../../../src/signing/pem-key.ts'
import { makeKeyAndCertificate } from '../../fixtures/eif/key-and-certificate.ts'

const pcr0 = Uint8Array.from({ length: 48 }, (_, index) => index)
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp384r1' })
const ALG = 1
const ES384 = -35

interface Shape {
  readonly header?: CborInput
  readonly unprotected?: CborInput
  readonly payload?: CborInput
  readonly hash?: string
  readonly key?: KeyObject
}

const register = (index: CborInput, value: CborInput): [string, CborInput][] => [
  ['register_index', index],
  ['register_value', value],
]

/** A COSE_Sign1 whose signature is right for what it says, whatever that is. */
function signed(shape: Shape = {}): readonly [Uint8Array, CborInput, Uint8Array, Uint8Array] {
  const header = encodeCbor(shape.header ?? new Map([[ALG, ES384]]))
  const payload = encodeCbor(shape.payload ?? new Map(register(0, [...pcr0])))
  const input = encodeCbor(['Signature1', header, new Uint8Array(), payload])
  const key = { key: shape.key ?? privateKey, dsaEncoding: 'ieee-p1363' } as const
  const signature = new Uint8Array(sign(shape.hash ?? 'sha384', input, key))
  return [header, shape.unprotected ?? new Map(), payload, signature]
}

function codeOf(sign1: CborInput | Uint8Array, key: KeyObject = publicKey): string {
  try {
    verifyPcr0(sign1 instanceof Uint8Array ? sign1 : encodeCbor(sign1), pcr0, key)
    return 'accepted'
  } catch (error) {
    if (error instanceof CloisterError) return error.code
    throw error
  }
}

const [header, unprotected, payload, signature] = signed()
const second = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })

describe('a signature over PCR0', () => {
  it('is accepted in the one form that it may have', async () => {
    expect(codeOf([...signed()])).toBe('accepted')
    const { certificate, key } = makeKeyAndCertificate('secp384r1')
    const signer = makeSigner(certificate, openPemKey(key, {}))
    const sign1 = await signPcr0(pcr0, signer)
    expect(codeOf(sign1, signer.certificate.publicKey)).toBe('accepted')
  })

  it.each<readonly [string, CborInput]>([
    ['a fifth element', [header, unprotected, payload, signature, 0]],
    ['three elements', [header, unprotected, payload]],
    ['a map', new Map([[0, header]])],
    [
      'a protected header that is a map',
      [new Map([[ALG, ES384]]), unprotected, payload, signature],
    ],
    ['an unprotected header', [...signed({ unprotected: new Map([[4, 'kid']]) })]],
    ['an unprotected header that is a list', [...signed({ unprotected: [] })]],
    ['a payload as text', [header, unprotected, 'payload', signature]],
    ['a signature as text', [header, unprotected, payload, 'signature']],
    [
      'a second protected header',
      [
        ...signed({
          header: new Map([
            [ALG, ES384],
            [4, 0],
          ]),
        }),
      ],
    ],
    ['a protected header that is a list', [...signed({ header: [ALG, ES384] })]],
    ['PCR1', [...signed({ payload: new Map(register(1, [...pcr0])) })]],
    ['a register as text', [...signed({ payload: new Map(register('0', [...pcr0])) })]],
    [
      'a third key in the payload',
      [...signed({ payload: new Map([...register(0, [...pcr0]), ['x', 1]]) })],
    ],
    ['a payload that is a list', [...signed({ payload: [0, [...pcr0]] })]],
    ['a value that is no list', [...signed({ payload: new Map(register(0, pcr0)) })]],
  ])('is refused with %s, though the key is right', (_, sign1) => {
    expect(codeOf(sign1)).toBe('ERR_EIF_SIGNATURE_FORMAT')
  })

  it.each<readonly [string, Shape]>([
    ['the algorithm of another curve', { header: new Map([[ALG, -7]]) }],
    ['an algorithm without a number', { header: new Map([[ALG, 'ES384']]) }],
    ['another hash', { hash: 'sha512' }],
    ['another PCR0', { payload: new Map(register(0, [...pcr0.slice(1), 0])) }],
    ['a PCR0 cut short', { payload: new Map(register(0, [...pcr0.slice(1)])) }],
  ])('is refused with %s', (_, shape) => {
    expect(codeOf([...signed(shape)])).toBe('ERR_EIF_SIGNATURE_INVALID')
  })

  it('is neither made nor accepted with a key on another curve', () => {
    const shape = { key: second.privateKey, hash: 'sha256', header: new Map([[ALG, -47]]) }
    expect(codeOf([...signed(shape)], second.publicKey)).toBe('ERR_EIF_SIGNATURE_INVALID')
    const error = expect.objectContaining({ code: 'ERR_EIF_SIGNING' }) as Error
    expect(() => deterministicKey(second.privateKey)).toThrow(error)
    const { certificate } = makeKeyAndCertificate('secp256k1')
    const key = { sign: () => Promise.resolve(new Uint8Array(64)) }
    expect(() => makeSigner(certificate, key)).toThrow(error)
  })
})
