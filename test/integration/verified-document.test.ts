// Documents of the NSM, verified by @cloister/attestation as a relying party does it, with the
// TPM's evidence required.

import { verifyAttestation, type VerifierOptions } from '@cloister/attestation'
import { decodeCbor } from '@cloister/attestation/cbor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  encodeRequest,
  launchedNsm,
  measurements,
  sha384,
  ZERO_PCR,
  type LaunchedNsm,
} from '../fixtures/launched-nsm.ts'

const nonce = Uint8Array.from({ length: 32 }, (_, index) => index)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const expectedPcrs = {
  PCR0: hex(sha384(ZERO_PCR, measurements.pcr0)),
  PCR1: hex(sha384(ZERO_PCR, measurements.pcr1)),
  PCR2: hex(sha384(ZERO_PCR, measurements.pcr2)),
  PCR4: hex(sha384(ZERO_PCR, measurements.pcr4 ?? '')),
}

let enclave: LaunchedNsm

beforeAll(async () => {
  enclave = await launchedNsm()
})
afterAll(() => enclave[Symbol.asyncDispose]())

function requiring({ chip }: LaunchedNsm): VerifierOptions {
  const roots = [chip.rootDer] as const
  return { roots, tpmEvidence: 'require', assurance: 'software-tpm', measurements: expectedPcrs }
}

describe('a document', () => {
  it('verifies with its nonce, measurements and the TPM behind it', async () => {
    const document = await enclave.attest({ nonce, user_data: 'text', public_key: ZERO_PCR })
    const attestation = await verifyAttestation(document, {
      ...requiring(enclave),
      ...{ nonce, publicKey: ZERO_PCR, moduleId: enclave.moduleId },
    })
    expect(attestation.debug).toBe(false)
    expect(attestation.assurance).toBe('software-tpm')
    expect(attestation.tpm?.certifiedPcrs).toEqual([4])
    expect(hex(attestation.userData ?? ZERO_PCR)).toBe(hex(Buffer.from('text')))
  })

  it('verifies with PCR3, PCR8 and locked PCRs of the app, written or not', async () => {
    const measured = { ...measurements, pcr3: 'role', pcr8: sha384('certificate') }
    await using other = await launchedNsm({ measurements: measured })
    for (const index of [29, 16, 21]) {
      await other.ask({ ExtendPCR: { index, data: 'x'.repeat(index) } })
      await other.ask({ LockPCR: { index } })
    }
    await other.ask({ LockPCR: { index: 20 } })
    const { tpm, pcrs } = await verifyAttestation(await other.attest(), {
      ...requiring(other),
      measurements: {
        ...expectedPcrs,
        PCR3: hex(sha384(ZERO_PCR, 'role')),
        PCR8: hex(sha384(ZERO_PCR, sha384('certificate'))),
        PCR20: hex(ZERO_PCR),
        PCR29: hex(sha384(ZERO_PCR, 'x'.repeat(29))),
      },
    })
    expect(tpm?.certifiedPcrs).toEqual([3, 4, 16, 21, 29])
    expect(Object.keys(pcrs).length).toBe(20)
  })

  it('is refused with one bit flipped anywhere, in the evidence too', async () => {
    const document = await enclave.attest({ nonce })
    const options = requiring(enclave)
    const accepted: number[] = []
    for (let offset = 0; offset < document.length; offset += 3) {
      const flipped = document.slice()
      flipped[offset] = (flipped[offset] ?? 0) ^ (1 << (offset & 7))
      const refused = await verifyAttestation(flipped, options).then(
        () => false,
        (error: unknown) => (error as Error).name === 'AttestationError',
      )
      if (!refused) accepted.push(offset)
    }
    expect(accepted).toEqual([])
  })

  it('is refused under the root of another machine', async () => {
    await using other = await launchedNsm()
    const verified = verifyAttestation(await enclave.attest(), requiring(other))
    await expect(verified).rejects.toMatchObject({ code: 'ERR_CHAIN_ROOT_UNTRUSTED' })
  })

  it('is refused with the evidence of another document', async () => {
    const [one, other] = [await enclave.attest(), await enclave.attest({ nonce })]
    const [header, , payload, signature] = decodeCbor(one) as unknown as Uint8Array[]
    const [, evidence] = decodeCbor(other) as unknown as Uint8Array[]
    const mixed = encodeRequest([header, evidence, payload, signature])
    const verified = verifyAttestation(mixed, requiring(enclave))
    await expect(verified).rejects.toMatchObject({ code: 'ERR_TPM_BINDING' })
  })

  it('of a debug enclave is refused, unless debug mode is allowed', async () => {
    await using debug = await launchedNsm({ debug: true })
    const document = await debug.attest()
    const { roots } = requiring(debug)
    const options = { roots, tpmEvidence: 'require' } as const
    const refused = verifyAttestation(document, options)
    await expect(refused).rejects.toMatchObject({ code: 'ERR_DEBUG_DOCUMENT' })
    expect((await verifyAttestation(document, { ...options, allowDebug: true })).debug).toBe(true)
  })

  it('that had no room for evidence verifies only where evidence is not required', async () => {
    await using full = await launchedNsm()
    const field = new Uint8Array(1024)
    for (let index = 16; index < 32; index++) {
      await full.ask({ ExtendPCR: { index, data: field } })
    }
    await full.ask({ LockPCRs: { range: 32 } })
    const document = await full.attest({ user_data: field, nonce: field, public_key: field })
    const options = requiring(full)
    const refused = verifyAttestation(document, options)
    await expect(refused).rejects.toMatchObject({ code: 'ERR_TPM_EVIDENCE_MISSING' })
    const relaxed = { ...options, tpmEvidence: 'verify-if-present' } as const
    expect((await verifyAttestation(document, relaxed)).tpm).toBeNull()
    const whole = await verifyAttestation(await full.attest({ nonce }), options)
    expect(whole.tpm?.certifiedPcrs.length).toBe(17)
  })
})
