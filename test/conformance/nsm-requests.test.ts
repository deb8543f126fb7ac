// What an NSM answers to each request at and beyond its limits, by AWS's error names.

import type { CborMap } from '@cloister/attestation/cbor'
import { encode } from 'cbor-x'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeRequest, launchedNsm, refusal, sha384, ZERO_PCR } from '../fixtures/launched-nsm.ts'
import type { LaunchedNsm } from '../fixtures/launched-nsm.ts'

let enclave: LaunchedNsm

beforeAll(async () => {
  enclave = await launchedNsm()
})
afterAll(() => enclave[Symbol.asyncDispose]())

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const handleHex = async (request: string): Promise<string> =>
  hex(await enclave.nsm.handle(Buffer.from(request, 'hex')))

describe('the wire form', () => {
  it('takes the bytes that AWS sends for DescribePCR 5 and answers in the same form', async () => {
    const request = 'a16b4465736372696265504352a165696e64657805'
    const zeros = '00'.repeat(48)
    expect(await handleHex(request)).toBe(
      `a16b4465736372696265504352a2646c6f636bf564646174615830${zeros}`,
    )
  })

  it('answers GetRandom as the kernel driver demands it: 59 01 00 and 256 bytes', async () => {
    const head = 'a16947657452616e646f6da16672616e646f6d590100'
    const response = await handleHex('6947657452616e646f6d')
    expect(response.slice(0, head.length)).toBe(head)
    expect(response.length).toBe(head.length + 512)
  })

  it('answers LockPCRs with the bare name', async () => {
    expect(await handleHex('a1684c6f636b50435273a16572616e676500')).toBe('684c6f636b50435273')
  })
})

describe('refusals', () => {
  const tooLong = new Uint8Array(1025)
  it.each([
    ['an index of 32', { DescribePCR: { index: 32 } }, 'InvalidIndex'],
    ['an index of 65536', { DescribePCR: { index: 65536 } }, 'InvalidIndex'],
    ['a range of 33', { LockPCRs: { range: 33 } }, 'InvalidIndex'],
    ['extending index 32', { ExtendPCR: { index: 32, data: Uint8Array.of(1) } }, 'InvalidIndex'],
    [
      'extending a locked PCR',
      { ExtendPCR: { index: 0, data: Uint8Array.of(1) } },
      'ReadOnlyIndex',
    ],
    ['locking a locked PCR', { LockPCR: { index: 0 } }, 'ReadOnlyIndex'],
    [
      'extending with no data',
      { ExtendPCR: { index: 16, data: new Uint8Array(0) } },
      'InvalidArgument',
    ],
    ['extending with 1025 bytes', { ExtendPCR: { index: 16, data: tooLong } }, 'InputTooLarge'],
    ['1025 bytes of user_data', { Attestation: { user_data: tooLong } }, 'InputTooLarge'],
    ['1025 bytes of nonce', { Attestation: { nonce: tooLong } }, 'InputTooLarge'],
    ['1025 bytes of public_key', { Attestation: { public_key: tooLong } }, 'InputTooLarge'],
    ['a number as user_data', { Attestation: { user_data: 1 } }, 'InvalidOperation'],
    ['a negative index', { DescribePCR: { index: -1 } }, 'InvalidOperation'],
    ['a text index', { DescribePCR: { index: '0' } }, 'InvalidOperation'],
    ['an index that is absent', { LockPCR: {} }, 'InvalidOperation'],
    ['data that is absent', { ExtendPCR: { index: 16 } }, 'InvalidOperation'],
    ['an unknown name', { UnlockPCR: { index: 16 } }, 'InvalidOperation'],
    ['an unknown bare name', 'ResetPCRs', 'InvalidOperation'],
    [
      'two requests in one map',
      { LockPCR: { index: 16 }, LockPCRs: { range: 32 } },
      'InvalidOperation',
    ],
    ['an array', ['DescribeNSM'], 'InvalidOperation'],
    ['null', null, 'InvalidOperation'],
  ])('refuses %s', async (_, request, error) => {
    expect(await enclave.ask(request)).toEqual(refusal(error))
  })

  it('refuses 4097 bytes as too large and takes 4096', async () => {
    const padded = (length: number): Uint8Array => {
      const overhead =
        encodeRequest({ Attestation: { padding: new Uint8Array(1000) } }).length - 1000
      return encodeRequest({ Attestation: { padding: new Uint8Array(length - overhead) } })
    }
    expect(padded(4096).length).toBe(4096)
    expect(hex(await enclave.nsm.handle(padded(4096)))).toContain(hex(Buffer.from('document')))
    expect(hex(await enclave.nsm.handle(padded(4097)))).toBe(
      hex(encodeRequest({ Error: 'InputTooLarge' })),
    )
  })

  const nested = (depth: number): string =>
    `a16b4465736372696265504352a265696e646578006178${'81'.repeat(depth)}00`
  it.each([
    ['no bytes', ''],
    ['a truncated text', '6b4465736372'],
    ['a map that ends early', 'a16b4465736372696265504352a265696e64657800'],
    ['a break outside anything', 'ff'],
    ['a map that breaks before a value', 'bf6b4465736372696265504352ff'],
    ['a chunk of another type', '7f6b44657363726962654e534d4100ff'],
    ['a chunk of indefinite length', '7f7f6b44657363726962654e534dffff'],
    ['an integer of indefinite length', 'a16b4465736372696265504352a165696e6465781f'],
    ['a reserved length', 'a16b4465736372696265504352a165696e6465781c'],
    ['a simple value below 32 in two bytes', 'a16b4465736372696265504352a265696e646578006178f818'],
    ['a map of 2^64 - 1 entries', 'bbffffffffffffffff'],
    ['text of 2^64 - 1 bytes', '7bffffffffffffffff'],
    ['text that is not UTF-8', 'a16b4465736372696265504352a265696e6465780061ff00'],
    ['1000 nested arrays', nested(1000)],
    ['undefined where a field may be null', 'a16b4174746573746174696f6ea1656e6f6e6365f7'],
    ['a second request in an indefinite map', 'bf674c6f636b504352a0684c6f636b50435273a0ff'],
  ])('refuses %s as an invalid operation', async (_, request) => {
    expect(await handleHex(request)).toBe(hex(encodeRequest({ Error: 'InvalidOperation' })))
  })
})

describe('leniency', () => {
  const pcr0 = 'a16b4465736372696265504352a165696e64657800'
  it.each([
    ['heads that are not the shortest', 'b900016b4465736372696265504352b9000165696e64657800'],
    ['lengths in eight bytes', 'bb00000000000000016b4465736372696265504352a165696e64657800'],
    ['an index in eight bytes', 'a16b4465736372696265504352a165696e6465781b0000000000000000'],
    ['indefinite maps', 'bf6b4465736372696265504352bf65696e64657800ffff'],
    ['a name in chunks', 'a17f68446573637269626563504352ffa165696e64657800'],
    ['a tag before it', 'd9d9f7a16b4465736372696265504352a165696e64657800'],
    ['bytes after it', `${pcr0}00ff`],
    ['an index twice, of which the first counts', `${pcr0.replace('a165', 'a265')}65696e64657805`],
    [
      'fields of every kind that it does not know',
      'a16b4465736372696265504352ac65696e6465780001f40220036161049f018101ff05f97e0006fa7fc00000' +
        '07fb7ff800000000000008f709f8ff0ac11a00000000f5f5',
    ],
    ['500 nested arrays', `a16b4465736372696265504352a265696e646578006178${'81'.repeat(500)}00`],
  ])('takes %s', async (_, request) => {
    expect(await handleHex(request)).toBe(await handleHex(pcr0))
  })

  it("takes what cbor-x's encode makes of plain objects, with Buffers and Uint8Arrays", async () => {
    let expected: Uint8Array = ZERO_PCR
    for (const data of [Buffer.from('one'), Uint8Array.of(1, 2)]) {
      const response = await enclave.nsm.handle(encode({ ExtendPCR: { index: 19, data } }))
      expected = sha384(expected, data)
      expect(hex(response)).toBe(hex(encodeRequest({ ExtendPCR: { data: expected } })))
    }
  })

  it('takes data in chunks, and of data given twice the last', async () => {
    const chunks = 'a169457874656e64504352a265696e6465781464646174615f41014102ff'
    const twice = 'a169457874656e64504352a365696e646578146464617461410964646174614103'
    expect(await handleHex(chunks)).toContain(hex(sha384(ZERO_PCR, Uint8Array.of(1, 2))))
    const expected = sha384(sha384(ZERO_PCR, Uint8Array.of(1, 2)), Uint8Array.of(3))
    expect(await handleHex(twice)).toContain(hex(expected))
  })

  it('takes text where bytes belong', async () => {
    const response = await enclave.ask({ ExtendPCR: { index: 17, data: 'text' } })
    const data = sha384(ZERO_PCR, 'text')
    expect(response).toEqual(new Map([['ExtendPCR', new Map([['data', data]])]]))
  })

  it('takes absent attestation fields as null, and ignores unknown ones', async () => {
    const document = await enclave.attest({ nonce: Uint8Array.of(1), later: 1 })
    expect(hex(document)).toContain(
      `${hex(Buffer.from('jpublic_key'))}f6${hex(Buffer.from('iuser_data'))}f6${hex(Buffer.from('enonce'))}4101`,
    )
  })
})

describe('order', () => {
  it('answers many requests at once in the order in which they came', async () => {
    const values = Array.from({ length: 20 }, (_, index) => Uint8Array.of(index))
    const extended = await Promise.all(
      values.map((data) => enclave.ask({ ExtendPCR: { index: 18, data } })),
    )
    let expected: Uint8Array = ZERO_PCR
    for (const [index, data] of values.entries()) {
      expected = sha384(expected, data)
      expect(extended[index]).toEqual(new Map([['ExtendPCR', new Map([['data', expected]])]]))
    }
  })
})

it('shows of its PCRs what the guest is told of them, and counts requests', async () => {
  const pcrs = await enclave.nsm.pcrs()
  expect(pcrs.filter(({ isLocked }) => isLocked).length).toBeGreaterThanOrEqual(16)
  for (const { index, value, isLocked } of pcrs) {
    const answer = (await enclave.ask({ DescribePCR: { index } })) as CborMap
    const told = answer.get('DescribePCR') as CborMap
    expect(hex(told.get('data') as Uint8Array)).toBe(hex(value))
    expect(told.get('lock')).toBe(isLocked)
  }
  const described = enclave.nsm.statistics.find(({ request }) => request === 'DescribePCR')
  expect(described?.results.Success).toBeGreaterThanOrEqual(pcrs.length)
})
