// The golden image, and ways to damage an image so that only the damage is wrong with it.

import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'

import { CloisterError } from '../../../src/errors.ts'
import { readEif } from '../../../src/eif/index.ts'
import { sourceOfBytes } from '../../../src/files/index.ts'

const folder = new URL('../../vectors/eif/', import.meta.url)

export interface GoldenSection {
  readonly type: number
  readonly name: string
  readonly headerOffset: number
  readonly dataOffset: number
  readonly size: number
  readonly data: string
}

export interface Golden {
  readonly length: number
  readonly sha256: string
  readonly sections: readonly GoldenSection[]
  readonly measurements: { readonly PCR0: string; readonly PCR1: string; readonly PCR2: string }
  readonly pcr2WithOneRamdisk: string
  readonly extra: { readonly pcr4: { readonly instanceId: string; readonly value: string } }
}

export const goldenBytes = new Uint8Array(readFileSync(new URL('golden.eif', folder)))
export const golden = JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8')) as Golden

export const CRC_OFFSET = 0x220

/** A copy with some bytes replaced. */
export function patch(
  bytes: Uint8Array,
  offset: number,
  replacement: readonly number[],
): Uint8Array {
  const copy = bytes.slice()
  copy.set(replacement, offset)
  return copy
}

/** A copy whose CRC fits its contents again. */
export function mendCrc(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice()
  const crc = crc32(copy.subarray(CRC_OFFSET + 4), crc32(copy.subarray(0, CRC_OFFSET)))
  new DataView(copy.buffer).setUint32(CRC_OFFSET, crc)
  return copy
}

/** The golden image with one field replaced and the CRC mended. */
export function withField(offset: number, ...bytes: number[]): Uint8Array {
  return mendCrc(patch(goldenBytes, offset, bytes))
}

/**
 * Rebuilds the file from sections in a new order or number, with a fitting table and CRC.
 *
 * @param types - Other types, by position.
 * @param emptied - The position of a section to leave empty.
 */
export function assemble(
  indices: readonly number[],
  types: Readonly<Record<number, number>> = {},
  emptied?: number,
): Uint8Array {
  const bodies = indices.map((index, position) => {
    const { headerOffset = 0, size: whole = 0 } = golden.sections[index] ?? {}
    const size = position === emptied ? 0 : whole
    const body = goldenBytes.slice(headerOffset, headerOffset + 12 + size)
    new DataView(body.buffer).setBigUint64(4, BigInt(size))
    const type = types[position]
    if (type !== undefined) body[1] = type
    return body
  })
  const total = bodies.reduce((sum, body) => sum + body.length, 548)
  const bytes = new Uint8Array(total)
  bytes.set(goldenBytes.subarray(0, 0x1a))
  const view = new DataView(bytes.buffer)
  view.setUint16(0x1a, bodies.length)
  let offset = 548
  for (const [index, body] of bodies.entries()) {
    view.setBigUint64(0x1c + 8 * index, BigInt(offset))
    view.setBigUint64(0x11c + 8 * index, BigInt(body.length - 12))
    bytes.set(body, offset)
    offset += body.length
  }
  return mendCrc(bytes)
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** The code that reading `bytes` fails with; 'accepted' when it does not fail. */
export async function readCode(bytes: Uint8Array): Promise<string> {
  try {
    await readEif(sourceOfBytes(bytes))
    return 'accepted'
  } catch (error) {
    if (error instanceof CloisterError) return error.code
    throw error
  }
}
