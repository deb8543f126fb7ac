// The head of a CBOR item (RFC 8949 section 3): major type and argument, shortest form only.

import type { AttestationErrorCode } from '../error-table.ts'
import { AttestationError } from '../errors.ts'

/** Major types of RFC 8949 section 3.1. */
export const MAJOR = {
  unsigned: 0,
  negative: 1,
  bytes: 2,
  text: 3,
  array: 4,
  map: 5,
  tag: 6,
  simple: 7,
} as const

const INDEFINITE = 31
/** The smallest argument that needs 1, 2, 4 and 8 bytes after the initial byte. */
const SMALLEST = [24, 0x100, 0x1_0000, 0x1_0000_0000] as const

/** Major type and argument of an item; `offset` is where the item starts. */
export interface Head {
  readonly major: number
  readonly argument: number | bigint
  readonly offset: number
}

/** Reads heads and runs of bytes in order, and never past the end. */
export class CborReader {
  offset = 0
  readonly #bytes: Uint8Array
  readonly #view: DataView

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get remaining(): number {
    return this.#bytes.length - this.offset
  }

  /** Consumes the next byte if it is the given one. */
  skipIf(byte: number): boolean {
    if (this.#bytes[this.offset] !== byte) return false
    this.offset += 1
    return true
  }

  /** A view of the next `length` bytes. */
  take(length: number): Uint8Array {
    this.#need(length)
    this.offset += length
    return this.#bytes.subarray(this.offset - length, this.offset)
  }

  head(): Head {
    const offset = this.offset
    this.#need(1)
    const initial = this.#view.getUint8(this.offset++)
    const major = initial >> 5
    const info = initial & 31
    const known = major !== MAJOR.simple || info < 24
    checkAt(offset, known, 'ERR_CBOR_UNSUPPORTED', 'float, simple value or break')
    return { major, argument: this.#argument(info, offset), offset }
  }

  #argument(info: number, offset: number): number | bigint {
    if (info < 24) return info
    checkAt(offset, info !== INDEFINITE, 'ERR_CBOR_INDEFINITE_LENGTH', 'indefinite length')
    checkAt(offset, info < 28, 'ERR_CBOR_UNSUPPORTED', 'reserved additional information')
    const argument = this.#following(info - 24)
    const minimal = argument >= (SMALLEST[info - 24] ?? 0)
    checkAt(offset, minimal, 'ERR_CBOR_NOT_MINIMAL', 'argument not in its shortest form')
    return argument
  }

  /** The argument in the 2^sizeLog2 bytes after the initial byte, big-endian. */
  #following(sizeLog2: number): number | bigint {
    const at = this.offset
    this.#need(1 << sizeLog2)
    this.offset += 1 << sizeLog2
    if (sizeLog2 === 0) return this.#view.getUint8(at)
    if (sizeLog2 === 1) return this.#view.getUint16(at)
    if (sizeLog2 === 2) return this.#view.getUint32(at)
    const wide = this.#view.getBigUint64(at)
    return wide <= Number.MAX_SAFE_INTEGER ? Number(wide) : wide
  }

  #need(length: number): void {
    if (length <= this.remaining) return
    const details = { offset: this.offset, needed: length, remaining: this.remaining }
    throw new AttestationError('ERR_CBOR_TRUNCATED', `CBOR ends at ${this.offset}`, { details })
  }
}

/** Throws an {@link AttestationError} that says where, unless the condition holds. */
export function checkAt(
  offset: number,
  condition: boolean,
  code: AttestationErrorCode,
  problem: string,
): asserts condition {
  if (condition) return
  throw new AttestationError(code, `${problem} at ${offset}`, { details: { offset } })
}
