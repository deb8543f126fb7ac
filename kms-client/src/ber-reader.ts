// A reader of BER (X.690 section 8) for values whose structure the caller knows: tags of one octet, lengths of
// the definite form and, for constructed values, of the indefinite form. It does not recurse, and never
// reads beyond its input.

import { KmsClientError } from './errors.ts'

const INDEFINITE = 0x80
const MAX_LENGTH_OCTETS = 4

export class BerReader {
  readonly #input: Uint8Array
  #at = 0
  /** Where the innermost value of known length ends. */
  #end: number

  constructor(input: Uint8Array) {
    this.#input = input
    this.#end = input.length
  }

  /** Enters a constructed value with this tag, reads what is in it, and leaves it. */
  constructed<T>(tag: number, read: () => T): T {
    this.#tag(tag)
    const length = this.#length()
    const outer = this.#end
    if (length !== null) this.#end = this.#at + length
    const value = read()
    if (length === null) this.exactly(Uint8Array.of(0, 0), 'end of a value')
    else if (this.#at !== this.#end) throw malformed('a value has more fields than expected')
    this.#end = outer
    return value
  }

  /** The content of a primitive value with this tag. */
  primitive(tag: number): Uint8Array {
    this.#tag(tag)
    const length = this.#length()
    if (length === null) throw malformed('a primitive value has no definite length')
    return this.#take(length)
  }

  /** Reads a value that must have exactly these octets. */
  exactly(octets: Uint8Array, what: string): void {
    const found = this.#take(octets.length)
    if (!found.every((octet, index) => octet === octets[index]))
      throw malformed(`it has no ${what} where one is expected`)
  }

  /** The next tag; undefined at the end of the value that was entered. */
  peek(): number | undefined {
    if (this.#at >= this.#end) return undefined
    const isEnd = this.#input[this.#at] === 0 && this.#input[this.#at + 1] === 0
    return isEnd ? undefined : this.#input[this.#at]
  }

  /** Nothing may follow. */
  finish(): void {
    if (this.#at !== this.#input.length) throw malformed('octets follow its end')
  }

  #tag(expected: number): void {
    const [tag] = this.#take(1)
    if (tag !== expected)
      throw malformed(`it has the tag ${String(tag)} where ${String(expected)} is expected`)
  }

  /** Null for the indefinite form. */
  #length(): number | null {
    const [first = 0] = this.#take(1)
    if (first === INDEFINITE) return null
    if (first < INDEFINITE) return this.#within(first)
    const count = first & 0x7f
    if (count > MAX_LENGTH_OCTETS) throw malformed('a length has too many octets')
    return this.#within(this.#take(count).reduce((length, octet) => length * 256 + octet, 0))
  }

  #within(length: number): number {
    if (length > this.#end - this.#at) throw malformed('it ends too early')
    return length
  }

  #take(count: number): Uint8Array {
    this.#within(count)
    const taken = this.#input.subarray(this.#at, this.#at + count)
    this.#at += count
    return taken
  }
}

export function malformed(reason: string): KmsClientError {
  const message = `CiphertextForRecipient is not as AWS KMS encodes it: ${reason}`
  return new KmsClientError('ERR_KMS_CLIENT_CMS', message)
}
