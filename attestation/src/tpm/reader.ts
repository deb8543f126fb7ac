// Reads TPM structures in canonical form: big-endian integers and byte strings of stated length
// (TPM 2.0 Library, part 1 section "Structure marshaling").

import { AttestationError } from '../errors.ts'

/** Reads big-endian fields in order; a read past the end is an error. */
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

  /** How many bytes are left. */
  get left(): number {
    return this.#bytes.length - this.#offset
  }

  /** Requires that nothing is left. */
  end(): void {
    if (this.left !== 0) throw this.failure('bytes follow a TPM structure')
  }

  /** The error of a structure that is too short or too long; ERR_TPM_STRUCTURE here. */
  protected failure(problem: string): Error {
    return new AttestationError('ERR_TPM_STRUCTURE', problem)
  }

  #advance(length: number): number {
    const from = this.#offset
    if (length > this.left) throw this.failure('a TPM structure ends early')
    this.#offset += length
    return from
  }
}
