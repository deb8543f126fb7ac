// What a ramdisk of an image becomes in memory, counted while it streams by. The contents of what is
// packed with another program than gzip are estimated.

import { CpioMeter, type UnpackedSize } from './cpio-meter.ts'
import { RamdiskReader, type UnpackBudget } from './ramdisk-reader.ts'
import type { VolumeLoad } from './volume-load.ts'

/** What xz and zstd make of an ordinary file system; lz4 and bzip2 pack less. */
const ASSUMED_RATIO = 4
const PAGE_BYTES = 4096

/**
 * Measures what one ramdisk takes once unpacked: push its chunks in order, await `end`, then read
 * `size`.
 */
export class RamdiskMeter {
  readonly #budget: UnpackBudget
  readonly #archives = new CpioMeter()
  readonly #reader: RamdiskReader
  #bytes = 0

  /** @param budget - What may be unpacked; above, an image fits no machine of the size asked for. */
  constructor(budget: UnpackBudget) {
    this.#budget = budget
    this.#reader = new RamdiskReader(budget, this.#archives)
  }

  /** To be asked after {@link end}. */
  get size(): UnpackedSize {
    const { size } = this.#archives
    if (this.#reader.isComplete) return size
    const isOver = this.#budget.leftBytes < 0
    const estimate = isOver ? this.#budget.limitBytes : this.#bytes * ASSUMED_RATIO
    return { ...size, pages: Math.max(size.pages, Math.ceil(estimate / PAGE_BYTES)) }
  }

  /** What the ramdisk says of the image's volumes, if anything. */
  get volumes(): VolumeLoad | undefined {
    return this.#archives.volumes
  }

  push(chunk: Uint8Array): Promise<void> {
    this.#bytes += chunk.length
    return this.#reader.push(chunk)
  }

  end(): Promise<void> {
    return this.#reader.end()
  }
}
