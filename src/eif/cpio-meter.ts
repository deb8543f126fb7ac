// What a cpio archive becomes in the kernel's root file system, counted while it streams by. Every entry
// counts, a repeated one too.

import { CpioReader, FILE_TYPE, type CpioEntry } from './cpio-reader.ts'
import {
  decodeVolumeLoad,
  MAX_VOLUMES_FILE_BYTES,
  VOLUMES_FILE,
  type VolumeLoad,
} from './volume-load.ts'

const SLASH = '/'
const PAGE_BYTES = 4096
/** A name up to this length lies in its dentry (DNAME_INLINE_LEN - 1). */
const INLINE_NAME_BYTES = 39
const LONG_NAME_BYTES = 256
/** Inode, its security blob and its dentry: 712 or 600, 64 and 192 bytes in Linux 6.12, and slack. */
const INODE_BYTES = 1024
/** Of a file's page tree, for each 64 pages of a file that has more than one. */
const TREE_NODE_BYTES = 600
const PAGES_PER_TREE_NODE = 64

/** What a root file system takes of the memory. */
export interface UnpackedSize {
  /** Names in the archive: files, directories, links, device nodes. */
  readonly inodes: number
  /** Pages of 4 KiB with the contents of files and symbolic links. */
  readonly pages: number
  /** Bytes of the kernel's own tables for them. */
  readonly tableBytes: number
  /** Bytes that stay in the ramdisk: of members without a type, a file system image to mount for instance. */
  readonly mountedBytes: number
}

/** A {@link CpioReader} that counts. */
export class CpioMeter extends CpioReader {
  readonly #size: { -readonly [K in keyof UnpackedSize]: UnpackedSize[K] }
  readonly #volumes: Collected

  constructor() {
    const size = { inodes: 0, pages: 0, tableBytes: 0, mountedBytes: 0 }
    const volumes: Collected = { chunks: [], isOpen: false, count: 0 }
    super({
      begin(entry) {
        const isVolumes = isVolumesFile(entry)
        volumes.count += Number(isVolumes)
        // No more than one is kept, whatever the archive repeats.
        volumes.isOpen = isVolumes && volumes.count === 1
        const pages = pagesOf(entry)
        size.inodes += 1
        size.pages += pages
        size.tableBytes += tableBytesOf(entry.name, pages)
        if ((entry.mode & FILE_TYPE.mask) === 0) size.mountedBytes += entry.size
      },
      data(chunk) {
        if (volumes.isOpen) volumes.chunks.push(Uint8Array.from(chunk))
      },
    })
    this.#size = size
    this.#volumes = volumes
  }

  /** What the archive says of the image's volumes; undefined where it says nothing, or says it twice. */
  get volumes(): VolumeLoad | undefined {
    if (this.#volumes.count > 1) return undefined
    return decodeVolumeLoad(Buffer.concat(this.#volumes.chunks))
  }

  get size(): UnpackedSize {
    return { ...this.#size }
  }
}

/** A file that is collected while its entry is the present one. */
interface Collected {
  readonly chunks: Uint8Array[]
  isOpen: boolean
  count: number
}

function isVolumesFile({ name, mode, size }: CpioEntry): boolean {
  const isRegular = (mode & FILE_TYPE.mask) === FILE_TYPE.regular
  return name === VOLUMES_FILE && isRegular && size <= MAX_VOLUMES_FILE_BYTES
}

function pagesOf({ mode, size }: CpioEntry): number {
  const type = mode & FILE_TYPE.mask
  const hasContents = type === FILE_TYPE.regular || type === FILE_TYPE.symlink
  return hasContents ? Math.ceil(size / PAGE_BYTES) : 0
}

function tableBytesOf(name: string, pages: number): number {
  const isLong = name.length - 1 - name.lastIndexOf(SLASH) > INLINE_NAME_BYTES
  const treeNodes = pages > 1 ? Math.ceil(pages / PAGES_PER_TREE_NODE) : 0
  return INODE_BYTES + (isLong ? LONG_NAME_BYTES : 0) + treeNodes * TREE_NODE_BYTES
}
