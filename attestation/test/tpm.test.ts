// TPM evidence: a TPM must vouch for every PCR of the document, in one boot, with the leaf's key.

import { beforeAll, describe, expect, test } from 'vitest'
import { concatBytes, fromHex, toHex } from '../src/bytes.ts'
import { verifyAttestation, type AttestationErrorCode, type VerifierOptions } from '../src/index.ts'
import { computeName, decodeNvCertify, decodeNvPublic, decodeQuote } from '../src/tpm/index.ts'
import { errorOf, expectCode } from './expect-error.ts'
import { generateKeys, type KeyPair } from './issuer/authority.ts'
import { encodeCbor, type Encodable } from './issuer/cbor-writer.ts'
import { makeChain, makePayload, makeSign1, NOW_MS, samplePcrs } from './issuer/document.ts'
import type { Chain } from './issuer/document.ts'
import { attest, makeEvidence, sha384, sized, u16, u32 } from './issuer/tpm-writer.ts'
import type { EvidenceShape } from './issuer/tpm-writer.ts'

let chain: Chain
let options: VerifierOptions

beforeAll(async () => {
  chain = await makeChain()
  options = { roots: [chain.root.certificate], at: new Date(NOW_MS), tpmEvidence: 'require' }
})

const zero = new Uint8Array(48)

interface DocumentShape {
  readonly evidence?: EvidenceShape
  readonly pcrs?: Map<number, Uint8Array>
  /** What the TPM holds, when that differs from the document. */
  readonly tpmPcrs?: Map<number, Uint8Array>
  readonly keys?: KeyPair
  readonly edit?: (evidence: Map<string, Encodable>) => void
}

async function makeDocumentWithEvidence(shape: DocumentShape = {}): Promise<Uint8Array> {
  const { pcrs = samplePcrs(), tpmPcrs = pcrs, keys = chain.leaf.keys } = shape
  const payload = encodeCbor(makePayload(chain, { pcrs }))
  const evidence = await makeEvidence(payload, tpmPcrs, keys, shape.evidence)
  shape.edit?.(evidence)
  const unprotectedHeader = new Map([['tpm', evidence]])
  return makeSign1(payload, chain.leaf.keys, { unprotectedHeader })
}

async function verify(shape: DocumentShape = {}) {
  return verifyAttestation(await makeDocumentWithEvidence(shape), options)
}

describe('TPM evidence', () => {
  test('that is right gives the clock of the TPM and what it certified', async () => {
    expect((await verify()).tpm).toEqual({
      clockMs: 123_456,
      resetCount: 25,
      restartCount: 3,
      safe: true,
      firmwareVersion: '2019102300163636',
      certifiedPcrs: [3, 4],
    })
  })

  test('needs no certification of a PCR that is zero: its index was never written', async () => {
    const pcrs = new Map([...samplePcrs(), [3, zero] as const])
    expect((await verify({ pcrs, evidence: { certified: [4] } })).tpm?.certifiedPcrs).toEqual([4])
  })

  test('covers PCR16 to PCR31 once they are locked', async () => {
    const pcrs = new Map([
      ...samplePcrs(),
      [16, zero.slice().fill(1)] as const,
      [31, zero] as const,
    ])
    const evidence = { certified: [3, 4, 16] }
    expect((await verify({ pcrs, evidence })).tpm?.certifiedPcrs).toEqual([3, 4, 16])
    await expectCode(() => verify({ pcrs }), 'ERR_TPM_PCR_MISMATCH')
  })

  test('is also checked when it is not required', async () => {
    const tpmPcrs = new Map([...samplePcrs(), [0, zero] as const])
    const document = await makeDocumentWithEvidence({ tpmPcrs })
    const lenient = { ...options, tpmEvidence: 'verify-if-present' } as const
    await expectCode(() => verifyAttestation(document, lenient), 'ERR_TPM_PCR_MISMATCH')
  })

  test('whose NV contents differ names the PCR and both values', async () => {
    const tpmPcrs = new Map([...samplePcrs(), [4, zero] as const])
    const error = await errorOf(() => verify({ tpmPcrs }))
    expect(error.code).toBe('ERR_TPM_PCR_MISMATCH')
    const expected = toHex(samplePcrs().get(4) ?? zero)
    expect(error.details).toEqual({ pcr: 4, expected, actual: toHex(zero) })
  })

  const wrong: readonly [claim: string, shape: DocumentShape, code: AttestationErrorCode][] = [
    [
      'a quote of another TPM_GENERATED',
      { evidence: { quote: { magic: 0 } } },
      'ERR_TPM_STRUCTURE',
    ],
    ['a quote of another type', { evidence: { quote: { type: 0x8014 } } }, 'ERR_TPM_STRUCTURE'],
    ['a quote about other data', { evidence: { quote: { extraData: zero } } }, 'ERR_TPM_BINDING'],
    [
      'a quote over all sixteen PCRs',
      { evidence: { quote: { mask: Uint8Array.of(0xff, 0xff, 0) } } },
      'ERR_TPM_BINDING',
    ],
    [
      'a quote over no PCRs',
      { evidence: { quote: { mask: Uint8Array.of(0, 0, 0) } } },
      'ERR_TPM_BINDING',
    ],
    [
      'a quote mask of four bytes',
      { evidence: { quote: { mask: Uint8Array.of(0xe7, 0xff, 0, 0) } } },
      'ERR_TPM_STRUCTURE',
    ],
    ['another quoted digest', { evidence: { quote: { digest: zero } } }, 'ERR_TPM_PCR_MISMATCH'],
    ['a certification of type quote', { evidence: { nv: { type: 0x8018 } } }, 'ERR_TPM_STRUCTURE'],
    [
      'a certification of another enclave',
      { evidence: { nv: { extraData: zero } } },
      'ERR_TPM_BINDING',
    ],
    [
      'a certification of another boot',
      { evidence: { nv: { resetCount: 24 } } },
      'ERR_TPM_BINDING',
    ],
    [
      'a certification before a restart',
      { evidence: { nv: { restartCount: 2 } } },
      'ERR_TPM_BINDING',
    ],
    ['another NV Name', { evidence: { nv: { name: new Uint8Array(50) } } }, 'ERR_TPM_BINDING'],
    [
      'an index that is not locked',
      { evidence: { nv: { attributes: 0x6a064444 } } },
      'ERR_TPM_BINDING',
    ],
    ['an index of the owner', { evidence: { nv: { attributes: 0x2a064c44 } } }, 'ERR_TPM_BINDING'],
    ['an index of another PCR', { evidence: { nv: { index: 0x01400210 } } }, 'ERR_TPM_BINDING'],
    [
      'an index that its policy can delete',
      { evidence: { nv: { policy: zero } } },
      'ERR_TPM_BINDING',
    ],
    ['a part of an index', { evidence: { nv: { offset: 1 } } }, 'ERR_TPM_BINDING'],
    [
      'contents of 47 bytes',
      { evidence: { nv: { contents: new Uint8Array(47) } } },
      'ERR_TPM_BINDING',
    ],
    ['a PCR that is not certified', { evidence: { certified: [3] } }, 'ERR_TPM_PCR_MISMATCH'],
    [
      'a certified PCR that is not in the document',
      { evidence: { certified: [3, 4, 17] } },
      'ERR_TPM_PCR_MISMATCH',
    ],
    ['a PCR certified twice', { evidence: { certified: [3, 4, 4] } }, 'ERR_TPM_EVIDENCE_FORMAT'],
    ['a certified TPM PCR', { evidence: { certified: [5] } }, 'ERR_TPM_EVIDENCE_FORMAT'],
    ['an unknown key', { edit: (evidence) => evidence.set('x', 1) }, 'ERR_TPM_EVIDENCE_FORMAT'],
    ['no quote', { edit: (evidence) => evidence.delete('quote') }, 'ERR_TPM_EVIDENCE_FORMAT'],
    [
      'a list that is a map',
      { edit: (evidence) => evidence.set('certifiedNv', new Map()) },
      'ERR_TPM_EVIDENCE_FORMAT',
    ],
  ]
  for (const [claim, shape, code] of wrong) {
    test(`with ${claim} is refused`, async () => {
      await expectCode(() => verify(shape), code)
    })
  }

  // Each by itself: whoever can sign one of them could name any PCRs in it.
  test.each(['quote', 'certifiedNv'])(
    'whose %s alone another key has signed is refused',
    async (key) => {
      const payload = encodeCbor(makePayload(chain))
      const forged = await makeEvidence(payload, samplePcrs(), await generateKeys())
      const edit = (evidence: Map<string, Encodable>) => evidence.set(key, forged.get(key) ?? 0)
      await expectCode(() => verify({ edit }), 'ERR_TPM_SIGNATURE')
    },
  )

  test('of another document of the same enclave is refused', async () => {
    const payload = encodeCbor(makePayload(chain, { nonce: Uint8Array.of(1) }))
    const other = await makeEvidence(payload, samplePcrs(), chain.leaf.keys)
    const edit = (evidence: Map<string, Encodable>) =>
      evidence.set('quote', other.get('quote') ?? 0)
    await expectCode(() => verify({ edit }), 'ERR_TPM_BINDING')
  })
})

describe('TPM structures', () => {
  const quote = attest({
    type: 0x8018,
    extraData: zero,
    rest: concatBytes(u32(1), u16(0x000c), Uint8Array.of(3, 1, 0, 0), sized(zero)),
  })
  const certify = attest({
    type: 0x8014,
    extraData: zero,
    rest: concatBytes(sized(new Uint8Array(50)), u16(0), sized(zero)),
  })
  const nvPublic = fromHex('01400203000c6a064c440000' + '0030')

  test('decode whole, and every truncation and every trailing byte is refused', async () => {
    const decoders = [
      [quote, decodeQuote],
      [certify, decodeNvCertify],
      [nvPublic, decodeNvPublic],
    ] as const
    for (const [bytes, decode] of decoders) {
      decode(bytes)
      await expectCode(() => decode(concatBytes(bytes, Uint8Array.of(0))), 'ERR_TPM_STRUCTURE')
      for (let n = 0; n < bytes.length; n++) {
        await expectCode(() => decode(bytes.slice(0, n)), 'ERR_TPM_STRUCTURE')
      }
    }
  })

  test('have the Name 000c and the SHA-384 of the public area', async () => {
    const name = await computeName(nvPublic)
    expect(toHex(name)).toBe(`000c${toHex(await sha384(nvPublic))}`)
    expect(decodeNvPublic(nvPublic)).toMatchObject({ index: 0x01400203, dataSize: 48 })
  })
})
