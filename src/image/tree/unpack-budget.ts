// How much one image may unpack to, and how much work and memory that may take. An enclave holds its
// root in memory, so these bounds are far above any image that could run; they stop a bomb early.
// docs/limits.md states them for users.

import { check } from '../../errors.ts'

export interface UnpackLimits {
  /** Uncompressed bytes of all layers and files. */
  readonly bytes: number
  /** Archive entries, and directories that they imply. */
  readonly entries: number
  /** Bytes of names, link targets, extended attributes, sparse maps and extension headers. */
  readonly metadataBytes: number
  /** Names looked up while paths are followed: what an entry costs in time. */
  readonly steps: number
}

const DEFAULT_LIMITS: UnpackLimits = {
  bytes: 16 * 1024 ** 3,
  entries: 1_000_000,
  metadataBytes: 256 * 1024 ** 2,
  steps: 50_000_000,
}

const PROBLEMS: Readonly<Record<keyof UnpackLimits, string>> = {
  bytes: 'the image unpacks to too many bytes',
  entries: 'the image has too many files',
  metadataBytes: 'the image has too many bytes of names and attributes',
  steps: 'the paths in the image take too long to follow',
}

/**
 * Counts what an image unpacks to, over all of its layers. Limits that are not given are
 * {@link DEFAULT_LIMITS}.
 */
export class UnpackBudget {
  readonly #limits: UnpackLimits
  readonly #used = { bytes: 0, entries: 0, metadataBytes: 0, steps: 0 }

  constructor(limits: Partial<UnpackLimits> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits }
  }

  /** @throws ERR_IMAGE_LIMIT */
  takeBytes(count: number): void {
    this.#take('bytes', count)
  }

  /** @throws ERR_IMAGE_LIMIT */
  takeEntry(): void {
    this.#take('entries', 1)
  }

  /** @throws ERR_IMAGE_LIMIT */
  takeMetadata(bytes: number): void {
    this.#take('metadataBytes', bytes)
  }

  /** @throws ERR_IMAGE_LIMIT */
  takeSteps(count: number): void {
    this.#take('steps', count)
  }

  #take(what: keyof UnpackLimits, count: number): void {
    this.#used[what] += count
    const limit = this.#limits[what]
    check(this.#used[what] <= limit, 'ERR_IMAGE_LIMIT', PROBLEMS[what], {
      details: { what, limit },
    })
  }
}
