// x509-limbo's cases with P-384 keys, each as the chain of a document: what the algorithm check of
// the profile would otherwise hide. Which cases apply, and where we differ: x509-limbo/SOURCE.md.

import { describe, expect, test } from 'vitest'
import { AttestationError, verifyAttestation } from '../../src/index.ts'
import { makePayload, makeSign1 } from '../issuer/document.ts'
import { encodeCbor } from '../issuer/cbor-writer.ts'
import { LIMBO_CASES, type LimboChain } from './x509-limbo/cases.ts'
import { AT_MS } from './x509-limbo/certificates.ts'

/** The code of the refusal, or `accepted`. */
async function outcomeOf({ trusted, sent, atMs = AT_MS }: LimboChain): Promise<string> {
  const leaf = sent.at(-1)
  const [first, ...others] = trusted.map(({ certificate }) => certificate)
  if (!leaf || !first) throw new Error('a case without root or leaf')
  const payload = encodeCbor(
    makePayload(
      { root: leaf, chip: leaf, leaf },
      { timestamp: atMs, cabundle: sent.slice(0, -1).map(({ certificate }) => certificate) },
    ),
  )
  const document = await makeSign1(payload, leaf.keys)
  try {
    await verifyAttestation(document, { roots: [first, ...others], at: new Date(atMs) })
    return 'accepted'
  } catch (error) {
    if (error instanceof AttestationError) return error.code
    throw error
  }
}

describe('x509-limbo', () => {
  for (const { id, limbo, outcome, differs, build } of LIMBO_CASES) {
    const claim = outcome === 'accepted' ? 'is accepted' : `is refused with ${outcome}`
    test(`${id} ${claim}${differs === undefined ? '' : ` (differs: ${differs})`}`, async () => {
      expect(await outcomeOf(await build())).toBe(outcome)
      const agrees = (outcome === 'accepted') === (limbo === 'SUCCESS')
      expect(agrees).toBe(differs === undefined)
    })
  }
})
