// A strict DER reader (ITU-T X.690): one-byte tags, definite minimal lengths, nothing left over.
// It works on one byte string by offsets; views are made only of what the caller asks for.

import { toHex } from '../bytes.ts'
import { AttestationError, check } from '../errors.ts'

/** The tags that certificates of this profile use. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

/** Reads the elements of one level in order. */
export class DerReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  #offset: number

  /** Reads `bytes`, or the part of it from `offset` up to `end`. */
  constructor(bytes: Uint8Array, offset = 0, end: number = bytes.length) {
    this.#bytes = bytes
    this.#offset = offset
    this.#end = end
  }

  /** Whether an element with this tag comes next. */
  hasNext(tag: number): boolean {
    return !this.atEnd && this.#bytes[this.#offset] === tag
  }

  get atEnd(): boolean {
    return this.#offset === this.#end
  }

  /**
   * Reads the next element, which must have this tag: a view of its contents.
   * @throws AttestationError ERR_DER_INVALID.
   */
  next(tag: number): Uint8Array {
    const length = this.#head(tag)
    this.#offset += length
    return this.#bytes.subarray(this.#offset - length, this.#offset)
  }

  /** As {@link next}, but a view of the whole element: tag, length and contents. */
  whole(tag: number): Uint8Array {
    const start = this.#offset
    const length = this.#head(tag)
    this.#offset += length
    return this.#bytes.subarray(start, this.#offset)
  }

  /** Reads the next element, an OBJECT IDENTIFIER: its contents in hexadecimal. */
  oid(): string {
    const length = this.#head(TAG.oid)
    this.#offset += length
    const start = this.#offset - length
    check(
      isOid(this.#bytes, start, this.#offset),
      'ERR_DER_INVALID',
      'OBJECT IDENTIFIER is not minimal',
    )
    return toHex(this.#bytes, start, this.#offset)
  }

  /** Reads the next element as a level of its own. */
  enter(tag: number): DerReader {
    const length = this.#head(tag)
    this.#offset += length
    return new DerReader(this.#bytes, this.#offset - length, this.#offset)
  }

  /** Requires that nothing is left. */
  end(): void {
    check(this.atEnd, 'ERR_DER_INVALID', 'bytes follow a DER element')
  }

  /** Reads tag and length; the contents that follow lie within this level. */
  #head(tag: number): number {
    const found = this.#byte()
    if (found !== tag) throw wrongTag(tag, found)
    const length = this.#length()
    check(length <= this.#end - this.#offset, 'ERR_DER_INVALID', 'DER element exceeds its parent')
    return length
  }

  #length(): number {
    const first = this.#byte()
    if (first < 0x80) return first
    check(first === 0x81 || first === 0x82, 'ERR_DER_INVALID', 'DER length has a bad form')
    if (first === 0x81) return this.#atLeast(this.#byte(), 0x80)
    return this.#atLeast(this.#byte() * 0x100 + this.#byte(), 0x100)
  }

  #atLeast(length: number, smallest: number): number {
    check(length >= smallest, 'ERR_DER_INVALID', 'DER length is not in its shortest form')
    return length
  }

  #byte(): number {
    const byte = this.atEnd ? undefined : this.#bytes[this.#offset]
    check(byte !== undefined, 'ERR_DER_INVALID', 'DER ends early')
    this.#offset += 1
    return byte
  }
}

/** Reads bytes that are one element with this tag and nothing else. */
export function enterOnly(bytes: Uint8Array, tag: number): DerReader {
  const outer = new DerReader(bytes)
  const contents = outer.enter(tag)
  outer.end()
  return contents
}

/** X.690 section 8.19: subidentifiers that end, none of them padded by 80. */
function isOid(bytes: Uint8Array, start: number, end: number): boolean {
  let previous = 0
  for (let i = start; i < end; i++) {
    const byte = bytes[i] ?? 0
    if (byte === 0x80 && previous < 0x80) return false
    previous = byte
  }
  return end > start && previous < 0x80
}

function wrongTag(expected: number, actual: number): AttestationError {
  const message = `DER tag ${actual} instead of ${expected}`
  return new AttestationError('ERR_DER_INVALID', message, { details: { expected, actual } })
}

/** Contents of an INTEGER that is positive and minimal, without the leading sign byte. */
export function positiveInteger(contents: Uint8Array): Uint8Array {
  const [first, second] = [contents[0], contents[1]]
  check(first !== undefined && first < 0x80, 'ERR_DER_INVALID', 'INTEGER is not positive')
  if (first !== 0) return contents
  check(second !== undefined && second >= 0x80, 'ERR_DER_INVALID', 'INTEGER is zero or padded')
  return contents.subarray(1)
}

/** A BOOLEAN: DER allows 00 and ff only. */
export function booleanValue(contents: Uint8Array): boolean {
  const value = contents[0]
  check(
    (value === 0x00 || value === 0xff) && contents.length === 1,
    'ERR_DER_INVALID',
    'BOOLEAN is neither 00 nor ff',
  )
  return value === 0xff
}

/** Contents of a BIT STRING of whole bytes. */
export function wholeBytes(contents: Uint8Array): Uint8Array {
  check(contents[0] === 0, 'ERR_DER_INVALID', 'BIT STRING is not of whole bytes')
  return contents.subarray(1)
}

/**
 * Which bits of a BIT STRING of named bits are set: a question by bit number.
 * DER drops trailing zero bits (X.690 section 11.2.2), so the last bit is always set.
 */
export function namedBits(contents: Uint8Array): (bit: number) => boolean {
  const unused = contents[0] ?? 8
  const last = contents.length > 1 ? (contents.at(-1) ?? 0) : 0
  check(
    unused < 8 && (last & ((1 << (unused + 1)) - 1)) === 1 << unused,
    'ERR_DER_INVALID',
    'BIT STRING of named bits is empty or not minimal',
  )
  return (bit) => (((contents[1 + (bit >> 3)] ?? 0) >> (7 - (bit & 7))) & 1) === 1
}
