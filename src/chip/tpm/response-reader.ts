// Reads the big-endian structures of a TPM 2.0 response. A read past the end is a coded error, so
// a short answer cannot be taken for zeros. TPM 2.0 Library, Part 2 "Structures".

import { check } from '../../errors.ts'

export class ResponseReader {
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

  /** A copy of the next `length` bytes. */
  bytes(length: number): Uint8Array {
    const start = this.#advance(length)
    return this.#bytes.slice(start, start + length)
  }

  /** A TPM2B: u16 length, then the bytes. */
  sized16(): Uint8Array {
    return this.bytes(this.u16())
  }

  skip(length: number): void {
    this.#advance(length)
  }

  /** Everything that is left. */
  rest(): Uint8Array {
    return this.bytes(this.#bytes.length - this.#offset)
  }

  /** @throws ERR_CHIP_TPM_PROTOCOL when bytes are left over. */
  end(): void {
    const left = this.#bytes.length - this.#offset
    check(left === 0, 'ERR_CHIP_TPM_PROTOCOL', `${String(left)} bytes follow the TPM structure`)
  }

  #advance(length: number): number {
    const start = this.#offset
    const left = this.#bytes.length - start
    check(length <= left, 'ERR_CHIP_TPM_PROTOCOL', 'a TPM structure ends early', {
      details: { wanted: length, left },
    })
    this.#offset += length
    return start
  }
}
