// Makes TPM evidence for tests: TPM structures in canonical form, signed by an ordinary key.

import { concatBytes } from '../../src/bytes.ts'
import { signRaw, type KeyPair } from './authority.ts'
import type { Encodable } from './cbor-writer.ts'
import { MODULE_ID } from './document.ts'

const QUOTED_PCRS = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
const LOCKED_WRITTEN = 0x6a064c44

export async function sha384(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest('SHA-384', bytes))
}

/** A TPMS_ATTEST; every field can be made wrong on purpose. */
export interface AttestShape {
  readonly magic?: number
  readonly type: number
  readonly extraData: Uint8Array
  readonly resetCount?: number
  readonly restartCount?: number
  readonly rest: Uint8Array
}

export function attest(shape: AttestShape): Uint8Array<ArrayBuffer> {
  const { magic = 0xff544347, type, extraData, resetCount = 25, restartCount = 3, rest } = shape
  return concatBytes(
    u32(magic),
    u16(type),
    sized(new Uint8Array(50).fill(7)), // qualifiedSigner
    sized(extraData),
    u64(123_456n), // clock
    u32(resetCount),
    u32(restartCount),
    Uint8Array.of(1), // safe
    u64(0x2019_1023_0016_3636n), // firmwareVersion
    rest,
  )
}

export interface EvidenceShape {
  readonly quote?: Partial<AttestShape> & {
    readonly mask?: Uint8Array
    readonly digest?: Uint8Array
  }
  readonly nv?: Partial<AttestShape> & {
    readonly attributes?: number
    readonly index?: number
    readonly contents?: Uint8Array
    readonly offset?: number
    readonly name?: Uint8Array
    readonly policy?: Uint8Array
  }
  /** PCRs to certify; 3 and 4 by default. */
  readonly certified?: readonly number[]
}

/** Evidence for a payload, as the value under the label `tpm`. */
export async function makeEvidence(
  payload: Uint8Array<ArrayBuffer>,
  pcrs: ReadonlyMap<number, Uint8Array>,
  keys: KeyPair,
  shape: EvidenceShape = {},
): Promise<Map<string, Encodable>> {
  const quote = await makeQuote(payload, pcrs, shape)
  const certifiedNv: Encodable[] = []
  for (const pcr of shape.certified ?? [3, 4]) {
    const { nvPublic, attested } = await makeNvCertify(pcr, pcrs, shape)
    const signature = await signRaw(keys, attested)
    certifiedNv.push(
      new Map<string, Encodable>([
        ['pcr', pcr],
        ['nvPublic', nvPublic],
        ['attested', attested],
        ['signature', signature],
      ]),
    )
  }
  const signedQuote = new Map([
    ['attested', quote],
    ['signature', await signRaw(keys, quote)],
  ])
  return new Map<string, Encodable>([
    ['quote', signedQuote],
    ['certifiedNv', certifiedNv],
  ])
}

async function makeQuote(
  payload: Uint8Array<ArrayBuffer>,
  pcrs: ReadonlyMap<number, Uint8Array>,
  { quote = {} }: EvidenceShape,
): Promise<Uint8Array<ArrayBuffer>> {
  const mask = quote.mask ?? Uint8Array.of(0xe7, 0xff, 0x00)
  const values = QUOTED_PCRS.map((pcr) => pcrs.get(pcr) ?? new Uint8Array(48))
  const digest = quote.digest ?? (await sha384(concatBytes(...values)))
  return attest({
    type: 0x8018,
    extraData: await sha384(payload),
    rest: concatBytes(u32(1), u16(0x000c), Uint8Array.of(mask.length), mask, sized(digest)),
    ...quote,
  })
}

async function makeNvCertify(
  pcr: number,
  pcrs: ReadonlyMap<number, Uint8Array>,
  { nv = {} }: EvidenceShape,
) {
  const nvPublic = concatBytes(
    u32(nv.index ?? 0x01400200 + pcr),
    u16(0x000c),
    u32(nv.attributes ?? LOCKED_WRITTEN),
    sized(nv.policy ?? new Uint8Array(48).fill(0xff)),
    u16(48),
  )
  const nvName = nv.name ?? concatBytes(u16(0x000c), await sha384(nvPublic))
  const contents = nv.contents ?? pcrs.get(pcr) ?? new Uint8Array(48)
  const attested = attest({
    type: 0x8014,
    extraData: await sha384(new TextEncoder().encode(MODULE_ID)),
    rest: concatBytes(sized(nvName), u16(nv.offset ?? 0), sized(contents)),
    ...nv,
  })
  return { nvPublic, attested }
}

export const u16 = (value: number) => Uint8Array.of(value >> 8, value)
export const u32 = (value: number) => Uint8Array.of(value >> 24, value >> 16, value >> 8, value)

function u64(value: bigint): Uint8Array {
  return concatBytes(u32(Number(value >> 32n)), u32(Number(value & 0xffff_ffffn)))
}

/** A TPM2B. */
export function sized(bytes: Uint8Array): Uint8Array {
  return concatBytes(u16(bytes.length), bytes)
}
