// The COSE working group's COSE_Sign1 examples, by the rule in cose/SOURCE.md.

import { describe, expect, test } from 'vitest'
import { concatBytes, fromHex, toHex } from '../../src/bytes.ts'
import { decodeSign1, verifySign1 } from '../../src/cose/index.ts'
import { expectCode } from '../expect-error.ts'
import { encodeCbor, type Encodable } from '../issuer/cbor-writer.ts'
import index from './cose/index.json' with { type: 'json' }

interface CoseExample {
  readonly input: {
    readonly plaintext: string
    readonly sign0: { readonly key: { readonly x: string; readonly y: string } }
  }
  readonly output: { readonly cbor: string }
}

const examples = import.meta.glob<CoseExample>('./cose/*/*.json', {
  eager: true,
  import: 'default',
})

function load(file: string): { readonly message: Uint8Array; readonly example: CoseExample } {
  const example = examples[`./cose/${file}`]
  if (!example) throw new Error(`no vector ${file}`)
  return { message: fromHex(example.output.cbor), example }
}

function pointOf({ input }: CoseExample): Uint8Array {
  const { x, y } = input.sign0.key
  return concatBytes(Uint8Array.of(4), ...[x, y].map(fromBase64Url))
}

function fromBase64Url(text: string): Uint8Array {
  const base64 = text.replaceAll('-', '+').replaceAll('_', '/')
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
}

const ES384 = index.cases.filter(({ alg }) => alg === -35)
const others = index.cases.filter(({ alg }) => alg !== -35)

describe('COSE_Sign1 examples', () => {
  test('cover one ES384 message and thirteen others', () => {
    expect([ES384.length, others.length]).toEqual([1, 13])
  })

  for (const { file } of ES384) {
    const { message, example } = load(file)
    test(`verifies ${file}`, async () => {
      const sign1 = decodeSign1(message)
      await verifySign1(sign1, pointOf(example))
      expect(new TextDecoder().decode(sign1.payload)).toBe(example.input.plaintext)
    })
    test(`encodes ${file} to the same bytes`, () => {
      const { protectedHeader, unprotectedHeader, payload, signature } = decodeSign1(message)
      const elements = [protectedHeader, unprotectedHeader as Encodable, payload, signature]
      expect(toHex(encodeCbor(elements))).toBe(toHex(message.subarray(1)))
    })
    test(`refuses ${file} with any bit of its payload or signature changed`, async () => {
      const { payload, signature } = decodeSign1(message)
      for (const part of [payload, signature]) {
        const at = part.byteOffset - message.byteOffset
        for (let i = at; i < at + part.length; i++) {
          const changed = message.slice()
          changed[i] = (changed[i] ?? 0) ^ 1
          const verify = () => verifySign1(decodeSign1(changed), pointOf(example))
          await expectCode(verify, 'ERR_COSE_SIGNATURE')
        }
      }
    })
  }

  for (const { file, tag, note } of others) {
    const code = tag === 18 || tag === null ? 'ERR_COSE_ALGORITHM' : 'ERR_COSE_TAG'
    test(`refuses ${file} with ${code}: ${note}`, async () => {
      await expectCode(() => decodeSign1(load(file).message), code)
    })
  }
})
