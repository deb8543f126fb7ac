// The guest is hostile: whatever bytes it sends, it gets one well-formed response.

import { decodeCbor, isMap } from '@cloister/attestation/cbor'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { encodeRequest, launchedNsm, type LaunchedNsm } from '../fixtures/launched-nsm.ts'

let enclave: LaunchedNsm

beforeAll(async () => {
  enclave = await launchedNsm()
})
afterAll(() => enclave[Symbol.asyncDispose]())

const names = [
  'DescribeNSM',
  'DescribePCR',
  'ExtendPCR',
  'LockPCR',
  'LockPCRs',
  'Attestation',
  'GetRandom',
]

async function expectResponse(request: Uint8Array): Promise<void> {
  const bytes = await enclave.nsm.handle(request)
  expect(bytes.length).toBeLessThanOrEqual(12288)
  const response = decodeCbor(bytes)
  const name = isMap(response) ? [...response.keys()][0] : response
  expect([...names, 'Error']).toContain(name)
  expect(enclave.incidents).toEqual([])
}

it('answers random bytes with a response', async () => {
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), expectResponse), {
    numRuns: 500,
  })
})

it('answers every truncation and every flipped bit of a request with a response', async () => {
  const request = encodeRequest({ ExtendPCR: { index: 20, data: Uint8Array.of(1, 2, 3) } })
  for (let length = 0; length < request.length; length++) {
    await expectResponse(request.subarray(0, length))
  }
  for (let bit = 0; bit < request.length * 8; bit++) {
    const flipped = request.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    await expectResponse(flipped)
  }
})

it('answers requests of the right names with any fields', async () => {
  const scalar = fc.oneof(
    fc.integer({ min: -2, max: 70_000 }),
    fc.uint8Array({ maxLength: 1100 }),
    fc.string(),
    fc.constant(null),
    fc.boolean(),
  )
  const keys = fc.constantFrom('index', 'data', 'range', 'user_data', 'nonce', 'public_key')
  const fields = fc.oneof(scalar, fc.dictionary(keys, scalar))
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...names), fields, (name, value) =>
      expectResponse(encodeRequest({ [name]: value })),
    ),
    { numRuns: 300 },
  )
})
