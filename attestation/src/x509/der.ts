// A strict DER reader (ITU-T X.690): one-byte tags, definite minimal lengths, nothing left over.

import { check } from '../errors.ts'

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

/** One element: its tag, its contents and all of it, as views into the input. */
export interface DerElement {
  readonly tag: number
  readonly contents: Uint8Array
  /** Tag, length and contents. */
  readonly whole: Uint8Array
}

/** Reads the elements of one level in order. */
export class DerReader {
  readonly #bytes: Uint8Array
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Whether an element with this tag comes next. */
  hasNext(tag: number): boolean {
    return this.#bytes[this.#offset] === tag
  }

  get atEnd(): boolean {
    return this.#offset === this.#bytes.length
  }

  /**
   * Reads the next element, which must have this tag.
   * @throws AttestationError ERR_DER_INVALID.
   */
  next(tag: number): DerElement {
    const start = this.#offset
    const found = this.#byte()
    check(found === tag, 'ERR_DER_INVALID', `DER tag ${found} where ${tag} belongs`, {
      expected: tag,
      actual: found,
    })
    const length = this.#length()
    const from = this.#offset
    check(length <= this.#bytes.length - from, 'ERR_DER_INVALID', 'DER element exceeds its parent')
    this.#offset += length
    return {
      tag,
      contents: this.#bytes.subarray(from, this.#offset),
      whole: this.#bytes.subarray(start, this.#offset),
    }
  }

  /** Reads the next element as a level of its own. */
  enter(tag: number): DerReader {
    return new DerReader(this.next(tag).contents)
  }

  /** Requires that nothing is left. */
  end(): void {
    check(this.atEnd, 'ERR_DER_INVALID', 'bytes follow a DER element')
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
    const byte = this.#bytes[this.#offset]
    check(byte !== undefined, 'ERR_DER_INVALID', 'DER ends early')
    this.#offset += 1
    return byte
  }
}

/** Contents of an INTEGER that is positive and minimal, without the leading sign byte. */
export function positiveInteger(contents: Uint8Array): Uint8Array {
  const [first, second] = contents
  check(first !== undefined && first < 0x80, 'ERR_DER_INVALID', 'INTEGER is not positive')
  if (first !== 0) return contents
  check(second !== undefined && second >= 0x80, 'ERR_DER_INVALID', 'INTEGER is zero or padded')
  return contents.subarray(1)
}

/** A BOOLEAN: DER allows 00 and ff only. */
export function booleanValue([first, ...rest]: Uint8Array): boolean {
  check(
    (first === 0x00 || first === 0xff) && rest.length === 0,
    'ERR_DER_INVALID',
    'BOOLEAN is neither 00 nor ff',
  )
  return first === 0xff
}

/** Contents of a BIT STRING of whole bytes. */
export function wholeBytes(contents: Uint8Array): Uint8Array {
  check(contents[0] === 0, 'ERR_DER_INVALID', 'BIT STRING is not of whole bytes')
  return contents.subarray(1)
}

/**
 * A BIT STRING of named bits as booleans, first bit first.
 * DER drops trailing zero bits (X.690 section 11.2.2), so the last bit is always set.
 */
export function namedBits(contents: Uint8Array): readonly boolean[] {
  const [unused = 8, ...bytes] = contents
  const last = bytes.at(-1) ?? 0
  check(
    unused < 8 && (last & ((1 << (unused + 1)) - 1)) === 1 << unused,
    'ERR_DER_INVALID',
    'BIT STRING of named bits is empty or not minimal',
  )
  const bits = bytes.flatMap((byte) => [7, 6, 5, 4, 3, 2, 1, 0].map((i) => ((byte >> i) & 1) === 1))
  return bits.slice(0, bits.length - unused)
}
