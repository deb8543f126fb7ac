// No damaged document is accepted, and none causes anything but a coded error.

import { beforeAll, describe, expect, test } from 'vitest'
import { AttestationError, createVerifier, type Verifier } from '../src/index.ts'
import { encodeCbor } from './issuer/cbor-writer.ts'
import { makeChain, makePayload, makeSign1, NOW_MS, samplePcrs } from './issuer/document.ts'
import { makeEvidence } from './issuer/tpm-writer.ts'

let document: Uint8Array<ArrayBuffer>
let verifier: Verifier

beforeAll(async () => {
  const chain = await makeChain()
  const payload = encodeCbor(makePayload(chain, { nonce: new Uint8Array(16), user_data: null }))
  const evidence = await makeEvidence(payload, samplePcrs(), chain.leaf.keys)
  const unprotectedHeader = new Map([['tpm', evidence]])
  document = await makeSign1(payload, chain.leaf.keys, { unprotectedHeader })
  verifier = createVerifier({ roots: [chain.root.certificate], at: new Date(NOW_MS) })
  await verifier.verify(document)
})

/** The offsets at which a mutated document was accepted or caused an uncoded error. */
async function survivors(mutants: Iterable<readonly [string, Uint8Array]>): Promise<string[]> {
  const wrong: string[] = []
  for (const [name, mutant] of mutants) {
    const outcome = await verifier.verify(mutant).catch((error: unknown) => error)
    if (!(outcome instanceof AttestationError)) wrong.push(name)
  }
  return wrong
}

describe('a document with TPM evidence', () => {
  test('is refused with a coded error at every truncation', async () => {
    function* truncations(): Generator<[string, Uint8Array]> {
      for (let n = 0; n < document.length; n++) yield [`${n} bytes`, document.slice(0, n)]
    }
    expect(await survivors(truncations())).toEqual([])
  })

  test('is refused with a coded error at every single-bit flip', async () => {
    function* flips(): Generator<[string, Uint8Array]> {
      for (let bit = 0; bit < document.length * 8; bit++) {
        const mutant = document.slice()
        mutant[bit >> 3] = (mutant[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        yield [`bit ${bit & 7} of byte ${bit >> 3}`, mutant]
      }
    }
    expect(await survivors(flips())).toEqual([])
  })

  test('is refused with a coded error at every byte deletion', async () => {
    function* deletions(): Generator<[string, Uint8Array]> {
      for (let at = 0; at < document.length; at++) {
        const mutant = new Uint8Array(document.length - 1)
        mutant.set(document.subarray(0, at))
        mutant.set(document.subarray(at + 1), at)
        yield [`without byte ${at}`, mutant]
      }
    }
    expect(await survivors(deletions())).toEqual([])
  })

  test('still verifies after all of that, so the cache learned nothing wrong', async () => {
    expect((await verifier.verify(document)).verified).toBe(true)
  })
})
