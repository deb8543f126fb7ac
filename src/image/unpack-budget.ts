// How much one image may unpack to. An initramfs lives in the enclave's memory, so these bounds are
// far above any image that could run, and stop a decompression bomb before the disk is full.

import { check } from '../errors.ts'

export interface UnpackLimits {
  /** Uncompressed bytes of all layers together. */
  readonly bytes: number
  readonly entries: number
}

const DEFAULT_LIMITS: UnpackLimits = { bytes: 16 * 1024 ** 3, entries: 1_000_000 }

export class UnpackBudget {
  readonly #limits: UnpackLimits
  #bytes = 0
  #entries = 0

  constructor(limits: UnpackLimits = DEFAULT_LIMITS) {
    this.#limits = limits
  }

  /** @throws ERR_IMAGE_LIMIT */
  takeBytes(count: number): void {
    this.#bytes += count
    const limit = this.#limits.bytes
    check(this.#bytes <= limit, 'ERR_IMAGE_LIMIT', 'the image unpacks to too many bytes', {
      details: { limit },
    })
  }

  /** @throws ERR_IMAGE_LIMIT */
  takeEntry(): void {
    this.#entries += 1
    const limit = this.#limits.entries
    check(this.#entries <= limit, 'ERR_IMAGE_LIMIT', 'the image has too many files', {
      details: { limit },
    })
  }
}
