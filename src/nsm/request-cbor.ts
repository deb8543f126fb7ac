// Reads the CBOR of a request (RFC 8949) as libcbor does for QEMU's NSM: everything well-formed, so
// also heads that are not the shortest, indefinite lengths, keys that occur twice, and bytes after the
// item. A tag is passed over (cbor-x gives a Uint8Array the tag 64), as serde_cbor does. What no request
// needs (arrays, floats, simple values) is checked and has no value.

import { isUtf8 } from 'node:buffer'

/** An item that is well-formed, and of a kind that no request holds where it matters. */
const OTHER: unique symbol = Symbol('other')

/** A map as it was written, keys that occur twice included. */
export type Entries = readonly (readonly [key: Item, value: Item])[]

/** Text has one character for each of its UTF-8 bytes (latin1), so that its bytes can be had again. */
export type Item = number | bigint | string | Uint8Array | null | Entries | typeof OTHER

/** How deep items may be nested; libcbor's own limit is 2048. */
const MAX_DEPTH = 512

const UNSIGNED = 0
const NEGATIVE = 1
const BYTES = 2
const TEXT = 3
const ARRAY = 4
const MAP = 5
const TAG = 6
const INDEFINITE = 31
const BREAK = 0xff
const NULL = 0xf6

/**
 * The first item of `bytes`; what follows it is ignored.
 *
 * @throws RangeError when it is not well-formed, its text is not UTF-8, or it is nested too deep.
 */
export function decodeItem(bytes: Uint8Array): Item {
  return new Reader(bytes).item(0)
}

/** Whether an item is a map. */
export function isEntries(item: Item | undefined): item is Entries {
  return Array.isArray(item)
}

class Reader {
  readonly #bytes: Buffer
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  item(depth: number): Item {
    if (depth > MAX_DEPTH) throw malformed('nested too deep')
    const initial = this.#byte()
    const info = initial & 31
    switch (initial >> 5) {
      case UNSIGNED:
        return this.#argument(info)
      case NEGATIVE:
        return -1n - BigInt(this.#argument(info))
      case BYTES:
        return this.#string(BYTES, info)
      case TEXT:
        return this.#text(info)
      case ARRAY:
        return this.#array(info, depth + 1)
      case MAP:
        return this.#map(info, depth + 1)
      case TAG:
        this.#argument(info)
        return this.item(depth + 1)
      default:
        return this.#simple(initial, info)
    }
  }

  #text(info: number): string {
    const bytes = this.#string(TEXT, info)
    if (!isUtf8(bytes)) throw malformed('text that is not UTF-8')
    return bytes.toString('latin1')
  }

  /** One run of bytes, or chunks of the same type that each have a length. */
  #string(major: number, info: number): Buffer {
    if (info !== INDEFINITE) return this.#take(Number(this.#argument(info)))
    const chunks: Buffer[] = []
    while (!this.#skipBreak()) {
      const initial = this.#byte()
      if (initial >> 5 !== major) throw malformed('a chunk of another type')
      chunks.push(this.#take(Number(this.#argument(initial & 31))))
    }
    return Buffer.concat(chunks)
  }

  #array(info: number, depth: number): typeof OTHER {
    for (let left = this.#count(info); this.#goesOn(left); left--) this.item(depth)
    return OTHER
  }

  #map(info: number, depth: number): Entries {
    const entries: [Item, Item][] = []
    for (let left = this.#count(info); this.#goesOn(left); left--) {
      entries.push([this.item(depth), this.item(depth)])
    }
    return entries
  }

  /** How many items follow; -1 when a break ends them. */
  #count(info: number): number {
    return info === INDEFINITE ? -1 : Number(this.#argument(info))
  }

  #goesOn(left: number): boolean {
    return left < 0 ? !this.#skipBreak() : left > 0
  }

  #simple(initial: number, info: number): null | typeof OTHER {
    if (initial === NULL) return null
    if (info === 24 && this.#byte() < 32) throw malformed('a simple value in two bytes')
    if (info > 24) this.#argument(info)
    return OTHER
  }

  /** The argument of any width: a bigint beyond the safe integers. */
  #argument(info: number): number | bigint {
    if (info < 24) return info
    if (info > 27) throw malformed('a length that does not exist')
    const bytes = this.#take(1 << (info - 24))
    if (info < 27) return bytes.readUIntBE(0, bytes.length)
    const wide = bytes.readBigUInt64BE(0)
    return wide <= Number.MAX_SAFE_INTEGER ? Number(wide) : wide
  }

  #skipBreak(): boolean {
    if (this.#bytes[this.#offset] !== BREAK) return false
    this.#offset += 1
    return true
  }

  #byte(): number {
    const byte = this.#bytes[this.#offset++]
    if (byte === undefined) throw malformed('it ends early')
    return byte
  }

  #take(length: number): Buffer {
    if (length > this.#bytes.length - this.#offset) throw malformed('it ends early')
    this.#offset += length
    return this.#bytes.subarray(this.#offset - length, this.#offset)
  }
}

function malformed(why: string): RangeError {
  return new RangeError(`malformed CBOR: ${why}`)
}
