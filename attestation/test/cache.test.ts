// What an attacker could try with the memory of a verifier: every document here meets a cache that
// already knows the honest chain, or would like to remember a dishonest one.

import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createVerifier, SignatureCache, verifyAttestation } from '../src/index.ts'
import type { Verifier, VerifierOptions } from '../src/index.ts'
import { expectCode } from './expect-error.ts'
import { issue, type Identity } from './issuer/authority.ts'
import { encodeCbor } from './issuer/cbor-writer.ts'
import {
  chipShape,
  leafShape,
  makeChain,
  makeDocument,
  makePayload,
  makeSign1,
  NOW_MS,
  rootShape,
  type Chain,
} from './issuer/document.ts'

const HOUR_MS = 3_600_000

let chain: Chain
let document: Uint8Array<ArrayBuffer>
let options: VerifierOptions
let cache: SignatureCache
let verifier: Verifier

beforeAll(async () => {
  chain = await makeChain()
  document = await makeDocument(chain)
  options = { roots: [chain.root.certificate], at: new Date(NOW_MS) }
})

beforeEach(async () => {
  cache = new SignatureCache()
  verifier = createVerifier({ ...options, cache })
  await verifier.verify(document)
})

/** A document signed by its leaf, whose chain is whatever it is. */
const documentOf = (leaf: Identity, ...cabundle: readonly Identity[]) =>
  makeDocument({ ...chain, leaf }, { cabundle: cabundle.map(({ certificate }) => certificate) })

describe('a verifier that knows a chain', () => {
  test('says of a known leaf exactly what it said of the new one', async () => {
    const known = await verifier.verify(document)
    expect(known).toEqual(await verifyAttestation(document, options))
  })

  test('refuses the known leaf under another intermediate of the same name', async () => {
    const other = await issue(chipShape(), chain.root)
    const swapped = await documentOf(chain.leaf, chain.root, other)
    await expectCode(() => verifier.verify(swapped), 'ERR_CHAIN_SIGNATURE')
    await verifier.verify(document)
  })

  test('refuses the known certificates under another root of the same name', async () => {
    const root = await issue(rootShape())
    const other = createVerifier({ ...options, roots: [root.certificate], cache })
    await expectCode(() => other.verify(document), 'ERR_CHAIN_SIGNATURE')
  })

  test('refuses a leaf of its own name that the known intermediate did not sign', async () => {
    const impostor = await issue(chipShape())
    const forged = await issue(leafShape(), { ...impostor, subject: chain.chip.subject })
    const claimed = await documentOf(forged, chain.root, chain.chip)
    await expectCode(() => verifier.verify(claimed), 'ERR_CHAIN_SIGNATURE')
  })

  test('refuses a certificate that differs from a known one in one byte', async () => {
    for (const name of ['chip', 'leaf'] as const) {
      const certificate = chain[name].certificate.slice()
      const inTheKey = certificate.length - 200
      certificate[inTheKey] = (certificate[inTheKey] ?? 0) ^ 1
      const identity = { ...chain[name], certificate }
      const changed =
        name === 'leaf'
          ? await documentOf(identity, chain.root, chain.chip)
          : await documentOf(chain.leaf, chain.root, identity)
      await expect(verifier.verify(changed)).rejects.toHaveProperty('name', 'AttestationError')
    }
    expect(cache.size).toBe(2)
  })

  test('refuses a payload that the known leaf did not sign', async () => {
    const forged = await makeSign1(encodeCbor(makePayload(chain)), chain.chip.keys)
    await expectCode(() => verifier.verify(forged), 'ERR_COSE_SIGNATURE')
  })

  test('checks the dates of every known certificate, the intermediate and the root too', async () => {
    const at = (hours: number) => ({ at: new Date(NOW_MS + hours * HOUR_MS) })
    const old = createVerifier({ ...options, cache, maxAgeMs: Infinity })
    for (const hours of [4, 101, 1001]) {
      await expectCode(() => old.verify(document, at(hours)), 'ERR_CERTIFICATE_EXPIRED')
    }
  })

  test('is not changed by what a caller does to a result', async () => {
    const { certificates } = await verifier.verify(document)
    for (const { der } of certificates) der.fill(0)
    expect((await verifier.verify(document)).certificates.at(-1)?.der).toEqual(
      chain.leaf.certificate,
    )
  })

  test('forgets all of it on demand, and verifies it again', async () => {
    cache.clear()
    expect(cache.size).toBe(0)
    expect((await verifier.verify(document)).verified).toBe(true)
    expect(cache.size).toBe(2)
  })
})

describe('a chain that fails', () => {
  test('leaves nothing behind, its right certificates neither', async () => {
    cache.clear()
    const impostor = await issue(chipShape())
    const forged = await issue(leafShape(), { ...impostor, subject: chain.chip.subject })
    const claimed = await documentOf(forged, chain.root, chain.chip)
    await expectCode(() => verifier.verify(claimed), 'ERR_CHAIN_SIGNATURE')
    expect(cache.size).toBe(0)
  })

  test('leaves nothing behind when only its dates are wrong', async () => {
    cache.clear()
    const late = { at: new Date(NOW_MS + 4 * HOUR_MS) }
    await expectCode(() => verifier.verify(document, late), 'ERR_CERTIFICATE_EXPIRED')
    expect(cache.size).toBe(0)
  })

  test('does not push anything out of a full cache', async () => {
    const full = new SignatureCache(2)
    const bounded = createVerifier({ ...options, cache: full })
    await bounded.verify(document)
    const forged = await makeDocument(await makeChain())
    for (let i = 0; i < 3; i++) {
      await expectCode(() => bounded.verify(forged), 'ERR_CHAIN_SIGNATURE')
    }
    let verifications = 0
    const subtle = counting(() => verifications++)
    await verifyAttestation(document, { ...options, cache: full, crypto: { subtle } })
    expect(verifications).toBe(1)
  })
})

describe('a full cache', () => {
  test('drops leaves that were not seen lately, and keeps the intermediate of them all', async () => {
    const full = new SignatureCache(3)
    let verifications = 0
    const subtle = counting(() => verifications++)
    const bounded = createVerifier({ ...options, cache: full, crypto: { subtle } })
    for (let i = 0; i < 5; i++) {
      const leaf = await issue(leafShape(), chain.chip)
      await bounded.verify(await documentOf(leaf, chain.root, chain.chip))
      expect(full.size).toBeLessThanOrEqual(3)
    }
    expect(verifications).toBe(3 + 4 * 2)
  })
})

/** The runtime's WebCrypto, with a bell that rings at every signature that is computed. */
function counting(ring: () => void) {
  const { subtle } = globalThis.crypto
  return {
    digest: subtle.digest.bind(subtle),
    importKey: subtle.importKey.bind(subtle),
    verify: (...signed: Parameters<typeof subtle.verify>) => {
      ring()
      return subtle.verify(...signed)
    },
  } as unknown as NonNullable<VerifierOptions['crypto']>['subtle']
}
