// Reads TPM structures in canonical form: big-endian integers and byte strings of stated length
// (TPM 2.0 Library, part 1 section "Structure marshaling").

import { check } from '../errors.ts'

/** Reads big-endian fields in order, and never past the end. */
export class TpmReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2))
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4))
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8))
  }

  /** A view of the next `length` bytes. */
  take(length: number): Uint8Array {
    const from = this.#advance(length)
    return this.#bytes.subarray(from, from + length)
  }

  /** A TPM2B: u16 length, then that many bytes. */
  sized16(): Uint8Array {
    return this.take(this.u16())
  }

  /** Requires that nothing is left. */
  end(): void {
    check(this.#offset === this.#bytes.length, 'ERR_TPM_STRUCTURE', 'bytes follow a TPM structure')
  }

  #advance(length: number): number {
    const from = this.#offset
    check(length <= this.#bytes.length - from, 'ERR_TPM_STRUCTURE', 'a TPM structure ends early')
    this.#offset += length
    return from
  }
}
