// What an image asks of a machine's memory, gathered while the image is read.

import { RamdiskMeter } from './ramdisk-meter.ts'
import type { UnpackBudget } from './ramdisk-reader.ts'
import type { UnpackedSize } from './cpio-meter.ts'
import type { EifSection } from './section-table.ts'
import { NO_VOLUMES, type VolumeLoad } from './volume-load.ts'

/** Linux Documentation/arch/x86/boot.rst: the memory that a bzImage takes from its start on. */
const SETUP_MAGIC = { offset: 0x202, text: 'HdrS' } as const
const INIT_SIZE_OFFSET = 0x260
/** For another kind of kernel, a vmlinux for instance. */
const DEFAULT_KERNEL_BYTES = 32 * 1024 * 1024

export interface MemoryLoad {
  readonly kernelBytes: number
  /** All ramdisks as they lie in memory while they are unpacked. */
  readonly initrdBytes: number
  /** What they become. */
  readonly unpacked: UnpackedSize
  /** What the agent then copies out of a compressed root file system. */
  readonly volumes: VolumeLoad
}

/** Its {@link MemoryMeter.push} sees every section, as a {@link SectionSink} does. */
export class MemoryMeter {
  readonly #budget: UnpackBudget
  #kernelBytes = DEFAULT_KERNEL_BYTES
  #initrdBytes = 0
  #unpacked: UnpackedSize = { inodes: 0, pages: 0, tableBytes: 0, mountedBytes: 0 }
  #volumes = NO_VOLUMES
  #section: EifSection | undefined
  #ramdisk: RamdiskMeter | undefined

  /** @param limitBytes - All ramdisks together are unpacked no further than this. */
  constructor(limitBytes: number) {
    this.#budget = { limitBytes, leftBytes: limitBytes }
  }

  async push(section: EifSection, chunk: Uint8Array): Promise<void> {
    if (section !== this.#section) await this.#begin(section, chunk)
    if (section.type !== 'ramdisk') return
    this.#initrdBytes += chunk.length
    await this.#ramdisk?.push(chunk)
  }

  /** The sum, after the last section. */
  async end(): Promise<MemoryLoad> {
    await this.#endRamdisk()
    return {
      kernelBytes: this.#kernelBytes,
      initrdBytes: this.#initrdBytes,
      unpacked: this.#unpacked,
      volumes: this.#volumes,
    }
  }

  async #begin(section: EifSection, chunk: Uint8Array): Promise<void> {
    await this.#endRamdisk()
    this.#section = section
    if (section.type === 'kernel') this.#kernelBytes = Math.max(section.size, kernelBytes(chunk))
    if (section.type === 'ramdisk') this.#ramdisk = new RamdiskMeter(this.#budget)
  }

  async #endRamdisk(): Promise<void> {
    if (this.#ramdisk === undefined) return
    await this.#ramdisk.end()
    const { inodes, pages, tableBytes, mountedBytes } = this.#ramdisk.size
    this.#unpacked = {
      inodes: this.#unpacked.inodes + inodes,
      pages: this.#unpacked.pages + pages,
      tableBytes: this.#unpacked.tableBytes + tableBytes,
      mountedBytes: this.#unpacked.mountedBytes + mountedBytes,
    }
    this.#volumes = this.#ramdisk.volumes ?? this.#volumes
    this.#ramdisk = undefined
  }
}

/** @param head - The first bytes of the kernel. */
function kernelBytes(head: Uint8Array): number {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length)
  const { offset, text } = SETUP_MAGIC
  const isBzImage = bytes.toString('latin1', offset, offset + text.length) === text
  if (!isBzImage || bytes.length < INIT_SIZE_OFFSET + 4) return DEFAULT_KERNEL_BYTES
  return bytes.readUInt32LE(INIT_SIZE_OFFSET)
}
