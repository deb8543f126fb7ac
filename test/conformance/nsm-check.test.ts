// The rules that AWS's own conformance program asserts of any NSM (aws-nitro-enclaves-nsm-api,
// nsm-test/src/bin/nsm-check.rs), in its order, on one NSM.

import type { CborMap, CborValue } from '@cloister/attestation/cbor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { launchedNsm, refusal, ZERO_PCR, type LaunchedNsm } from '../fixtures/launched-nsm.ts'

const all = Array.from({ length: 32 }, (_, index) => index)
const reserved = all.slice(0, 16)
const free = all.slice(16)
const data = Uint8Array.of(1, 2, 3)
const filled = new Uint8Array(1024).fill(128)

let enclave: LaunchedNsm

beforeAll(async () => {
  enclave = await launchedNsm()
})
afterAll(() => enclave[Symbol.asyncDispose]())

async function fieldsOf(name: string, request: unknown): Promise<CborMap> {
  const response = (await enclave.ask(request)) as CborMap
  expect([...response.keys()]).toEqual([name])
  return response.get(name) as CborMap
}

const describePcr = (index: number): Promise<CborMap> =>
  fieldsOf('DescribePCR', { DescribePCR: { index } })
const extend = (index: number): Promise<CborValue> => enclave.ask({ ExtendPCR: { index, data } })

describe('nsm-check', () => {
  it('describes itself as AWS does', async () => {
    const description = await fieldsOf('DescribeNSM', 'DescribeNSM')
    expect([...description]).toEqual([
      ['version_major', 1],
      ['version_minor', 0],
      ['version_patch', 0],
      ['module_id', enclave.moduleId],
      ['max_pcrs', 32],
      ['locked_pcrs', reserved],
      ['digest', 'SHA384'],
    ])
  })

  it('attests without any data before anything else', async () => {
    expect((await enclave.attest()).length).toBeGreaterThan(0)
  })

  it('starts with PCR 0-15 locked, 16-31 unlocked and zero', async () => {
    for (const index of all) {
      const pcr = await describePcr(index)
      expect([index, pcr.get('lock')]).toEqual([index, index < 16])
      const measured = [0, 1, 2, 4].includes(index)
      expect([index, Buffer.compare(pcr.get('data') as Uint8Array, ZERO_PCR) !== 0]).toEqual([
        index,
        measured,
      ])
    }
  })

  it('refuses to lock PCR 0-15 again', async () => {
    for (const index of reserved) {
      expect(await enclave.ask({ LockPCR: { index } })).toEqual(refusal('ReadOnlyIndex'))
    }
  })

  it('extends PCR 16-31 ten times, each time to another value', async () => {
    const seen = new Set<string>()
    for (let round = 0; round < 10; round++) {
      for (const index of free) {
        const { data: value } = Object.fromEntries(
          await fieldsOf('ExtendPCR', { ExtendPCR: { index, data } }),
        ) as { data: Uint8Array }
        expect(value.length).toBe(48)
        seen.add(`${String(index)} ${Buffer.from(value).toString('hex')}`)
      }
    }
    expect(seen.size).toBe(160)
  })

  it('locks PCR 16-31', async () => {
    for (const index of free) expect(await enclave.ask({ LockPCR: { index } })).toBe('LockPCR')
  })

  it('locks the range 32 although all are locked, and refuses the range 33', async () => {
    expect(await enclave.ask({ LockPCRs: { range: 32 } })).toBe('LockPCRs')
    expect(await enclave.ask({ LockPCRs: { range: 33 } })).toEqual(refusal('InvalidIndex'))
  })

  it('refuses to extend any locked PCR', async () => {
    for (const index of all) expect(await extend(index)).toEqual(refusal('ReadOnlyIndex'))
  })

  it('describes all PCRs ten times, locked and unchanged', async () => {
    const first = await Promise.all(all.map(describePcr))
    for (let round = 1; round < 10; round++) {
      expect(await Promise.all(all.map(describePcr))).toEqual(first)
    }
    expect(first.every((pcr) => pcr.get('lock') === true)).toBe(true)
  })

  it.each([
    ['nothing', {}],
    ['user_data', { user_data: filled }],
    ['user_data and nonce', { user_data: filled, nonce: filled }],
    ['all three', { user_data: filled, nonce: filled, public_key: filled }],
  ])('attests with 1024 bytes each of %s', async (_, fields) => {
    expect((await enclave.attest(fields)).length).toBeGreaterThan(0)
  })

  it('gives 256 other random bytes each time', async () => {
    const seen = new Set<string>()
    for (let round = 0; round < 16; round++) {
      const random = (await fieldsOf('GetRandom', 'GetRandom')).get('random') as Uint8Array
      expect(random.length).toBe(256)
      seen.add(Buffer.from(random).toString('hex'))
    }
    expect(seen.size).toBe(16)
  })
})
