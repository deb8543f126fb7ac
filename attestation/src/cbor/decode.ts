// A strict CBOR decoder (RFC 8949): definite lengths, shortest forms, unique keys, valid UTF-8,
// bounded depth and size, no trailing bytes. Left out on purpose: floats, undefined, simple values.

import { decodeUtf8 } from '../bytes.ts'
import { AttestationError, check } from '../errors.ts'
import { CborReader, checkAt, MAJOR, type Head } from './head.ts'
import type { CborKey, CborMap, CborValue } from './value.ts'

/** Bounds and exceptions of {@link decodeCbor}. */
export interface DecodeCborOptions {
  /** Longest input in bytes; 65536 by default. */
  readonly maxBytes?: number
  /** How deep arrays, maps and tags may be nested; 16 by default, and never more than 1000. */
  readonly maxDepth?: number
  /** How many items the whole input may hold; 4096 by default. */
  readonly maxItems?: number
  /** Tags that are accepted; none by default. */
  readonly tags?: readonly number[]
  /**
   * Also accept `bf … ff` for the outermost map, and nothing else indefinite. AWS's documents
   * encode their payload map so since 2025. False by default.
   */
  readonly indefiniteTopLevelMap?: boolean
}

/** Deeper nesting would overflow the stack: a RangeError that the sender brings about. */
const MAX_DEPTH = 1000
const INDEFINITE_MAP = 0xbf
const BREAK = 0xff

/**
 * Decodes exactly one item. Byte strings in the result are views into `bytes`.
 * @throws AttestationError with an `ERR_CBOR_*` code and the offset in `details`.
 * @see RFC 8949
 */
export function decodeCbor(bytes: Uint8Array, options: DecodeCborOptions = {}): CborValue {
  const { maxBytes = 65536, indefiniteTopLevelMap = false } = options
  check(
    bytes.length <= maxBytes,
    'ERR_CBOR_TOO_LONG',
    `${bytes.length} bytes of CBOR, at most ${maxBytes} are accepted`,
    { length: bytes.length, maxBytes },
  )
  const decoder = new Decoder(bytes, options)
  return indefiniteTopLevelMap ? decoder.documentMap() : decoder.only()
}

class Decoder {
  readonly #reader: CborReader
  readonly #maxDepth: number
  readonly #tags: readonly number[]
  #itemsLeft: number

  constructor(bytes: Uint8Array, options: DecodeCborOptions) {
    this.#reader = new CborReader(bytes)
    this.#maxDepth = Math.min(options.maxDepth ?? 16, MAX_DEPTH)
    this.#itemsLeft = options.maxItems ?? 4096
    this.#tags = options.tags ?? []
  }

  /** The one item of the input. */
  only(): CborValue {
    const value = this.#item(0)
    this.#end()
    return value
  }

  /** As {@link only}, but an outermost map may also be `bf … ff`. */
  documentMap(): CborValue {
    if (!this.#reader.skipIf(INDEFINITE_MAP)) return this.only()
    const entries = new Map<CborKey, CborValue>()
    while (!this.#reader.skipIf(BREAK)) this.#entry(entries, 1)
    this.#end()
    return entries
  }

  #end(): void {
    const { offset, remaining } = this.#reader
    check(remaining === 0, 'ERR_CBOR_TRAILING_BYTES', `${remaining} bytes follow at ${offset}`, {
      offset,
      remaining,
    })
  }

  #item(depth: number): CborValue {
    const head = this.#reader.head()
    this.#count(head)
    switch (head.major) {
      case MAJOR.unsigned:
        return head.argument
      case MAJOR.negative:
        return negative(head.argument)
      case MAJOR.bytes:
        return this.#string(head)
      case MAJOR.text:
        return decodeText(this.#string(head), head.offset)
      case MAJOR.simple:
        return simple(head)
      default:
        return this.#nested(head, depth + 1)
    }
  }

  #nested(head: Head, depth: number): CborValue {
    const { offset } = head
    checkAt(offset, depth <= this.#maxDepth, 'ERR_CBOR_TOO_DEEP', 'nested too deep')
    if (head.major === MAJOR.array) return this.#array(head, depth)
    if (head.major === MAJOR.map) return this.#map(head, depth)
    const tag = Number(head.argument)
    check(this.#tags.includes(tag), 'ERR_CBOR_UNSUPPORTED', `tag ${tag} at ${offset}`, {
      offset,
      tag,
    })
    return { tag, value: this.#item(depth) }
  }

  #string(head: Head): Uint8Array {
    return this.#reader.take(this.#fitting(head, 1))
  }

  #array(head: Head, depth: number): readonly CborValue[] {
    const length = this.#fitting(head, 1)
    const items: CborValue[] = []
    while (items.length < length) items.push(this.#item(depth))
    return items
  }

  #map(head: Head, depth: number): CborMap {
    const length = this.#fitting(head, 2)
    const entries = new Map<CborKey, CborValue>()
    while (entries.size < length) this.#entry(entries, depth)
    return entries
  }

  #entry(entries: Map<CborKey, CborValue>, depth: number): void {
    const { offset } = this.#reader
    const key = this.#item(depth)
    checkAt(offset, isKey(key), 'ERR_CBOR_KEY_TYPE', 'key that is neither an integer nor text')
    if (entries.has(key)) throw duplicate(key, offset)
    entries.set(key, this.#item(depth))
  }

  /** A length that the rest of the input can hold, at `unit` bytes or more each. */
  #fitting(head: Head, unit: number): number {
    const { argument, offset } = head
    const { remaining } = this.#reader
    if (typeof argument === 'number' && argument * unit <= remaining) return argument
    const details = { offset, length: String(argument), remaining }
    throw new AttestationError('ERR_CBOR_TRUNCATED', `length at ${offset} exceeds the input`, {
      details,
    })
  }

  #count({ offset }: Head): void {
    this.#itemsLeft -= 1
    checkAt(offset, this.#itemsLeft >= 0, 'ERR_CBOR_TOO_LONG', 'too many items')
  }
}

function duplicate(key: CborKey, offset: number): AttestationError {
  const details = { offset, key: String(key) }
  return new AttestationError('ERR_CBOR_DUPLICATE_KEY', `key ${key} occurs twice`, { details })
}

function isKey(value: CborValue): value is CborKey {
  return typeof value === 'number' || typeof value === 'string' || typeof value === 'bigint'
}

function negative(argument: number | bigint): number | bigint {
  if (typeof argument === 'number' && argument < Number.MAX_SAFE_INTEGER) return -1 - argument
  return -1n - BigInt(argument)
}

function simple({ argument, offset }: Head): CborValue {
  if (argument === 20) return false
  if (argument === 21) return true
  checkAt(offset, argument === 22, 'ERR_CBOR_UNSUPPORTED', 'undefined or simple value')
  return null
}

function decodeText(bytes: Uint8Array, offset: number): string {
  try {
    return decodeUtf8(bytes)
  } catch (cause) {
    const details = { offset }
    const message = `text at ${offset} is not valid UTF-8`
    throw new AttestationError('ERR_CBOR_INVALID_UTF8', message, { details, cause })
  }
}
