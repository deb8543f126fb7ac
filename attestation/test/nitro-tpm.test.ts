// NitroTPM documents: the same message and chain, `nitrotpm_pcrs` instead of `pcrs`. They are never
// accepted where an enclave's document was asked for, nor the other way round.

import { beforeAll, describe, expect, test } from 'vitest'
import { inspectAttestation, verifyAttestation, type VerifierOptions } from '../src/index.ts'
import { expectCode } from './expect-error.ts'
import { makeChain, makeDocument, NOW_MS, pcrHex, type Chain } from './issuer/document.ts'

const MODULE_ID = 'i-0123456789abcdef0-tpm0000000000000000'
const pcrs = (count = 24) =>
  new Map(Array.from({ length: count }, (_, pcr) => [pcr, new Uint8Array(48).fill(pcr + 1)]))

let chain: Chain
let enclaves: VerifierOptions
let instances: VerifierOptions

beforeAll(async () => {
  chain = await makeChain()
  enclaves = { roots: [chain.root.certificate], at: new Date(NOW_MS) }
  instances = { ...enclaves, kind: 'nitro-tpm' }
})

const makeTpmDocument = (changes: Parameters<typeof makeDocument>[1] = {}) =>
  makeDocument(chain, {
    module_id: MODULE_ID,
    pcrs: undefined,
    nitrotpm_pcrs: pcrs(),
    ...changes,
  })

describe('a NitroTPM document', () => {
  test('verifies under its own kind, with its 24 PCRs', async () => {
    const document = await makeTpmDocument()
    const measurements = { PCR4: pcrHex(4), PCR7: pcrHex(7), PCR23: pcrHex(23) }
    const attestation = await verifyAttestation(document, { ...instances, measurements })
    expect(attestation).toMatchObject({ kind: 'nitro-tpm', moduleId: MODULE_ID, debug: false })
    expect(Object.keys(attestation.pcrs)).toHaveLength(24)
    expect(inspectAttestation(document).claims.kind).toBe('nitro-tpm')
  })

  test('is refused where an enclave is asked for, and the other way round', async () => {
    const document = await makeTpmDocument()
    await expectCode(() => verifyAttestation(document, enclaves), 'ERR_DOCUMENT_KIND')
    const enclave = await makeDocument(chain)
    await expectCode(() => verifyAttestation(enclave, instances), 'ERR_DOCUMENT_KIND')
  })

  test('verifies beside an enclave document where both kinds are accepted', async () => {
    const both = { ...enclaves, kind: ['nitro-enclave', 'nitro-tpm'] } as const
    const kindOf = async (document: Uint8Array) => (await verifyAttestation(document, both)).kind
    expect(await kindOf(await makeTpmDocument())).toBe('nitro-tpm')
    expect(await kindOf(await makeDocument(chain))).toBe('nitro-enclave')
  })

  test('with both kinds of PCRs is refused under either kind', async () => {
    const both = await makeTpmDocument({ pcrs: pcrs(16) })
    for (const options of [enclaves, instances]) {
      await expectCode(() => verifyAttestation(both, options), 'ERR_DOCUMENT_FIELD')
    }
  })

  test('with a PCR24 is refused: a TPM has 24 PCRs', async () => {
    const document = await makeTpmDocument({ nitrotpm_pcrs: new Map([[24, new Uint8Array(48)]]) })
    await expectCode(() => verifyAttestation(document, instances), 'ERR_DOCUMENT_FIELD')
  })

  test('may have zero PCRs: there is no debug mode', async () => {
    const document = await makeTpmDocument({ nitrotpm_pcrs: new Map([[0, new Uint8Array(48)]]) })
    expect((await verifyAttestation(document, instances)).debug).toBe(false)
  })
})
