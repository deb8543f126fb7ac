// The compressed root file system of an image, which is a member of a ramdisk, while the ramdisks stream by.

import { CpioReader, FILE_TYPE, type CpioEntry, type EifSection } from '../../eif/index.ts'
import { chunksOf, type ByteSource } from '../../files/index.ts'
import { SQUASHFS_MEMBER } from '../ramdisk/ramdisks.ts'

/** Where something lies in an image file. */
export interface FilePart {
  readonly offset: number
  readonly size: number
}

/** Finds the first such member, as the agent does; only ramdisks that are not packed are read. */
export class RootImage {
  #section: EifSection | undefined
  #archives: CpioReader | undefined
  /** Whether it was found, and whether what comes now is its contents. */
  #isFound = false
  #isOpen = false
  #chunks: Uint8Array[] = []
  /** Bytes of the section that came before the present chunk. */
  #sectionBytes = 0
  #size = 0
  #part: FilePart | undefined

  /** Where it is, as soon as its first byte has come. */
  get part(): FilePart | undefined {
    return this.#part
  }

  /** The part of the member that is in this chunk of a section; the bytes are the chunk's own. */
  push(section: EifSection, chunk: Uint8Array): readonly Uint8Array[] {
    if (section.type !== 'ramdisk') return []
    if (section !== this.#section) this.#begin(section)
    this.#chunks = []
    const at = section.offset + this.#sectionBytes
    this.#sectionBytes += chunk.length
    // What is not an archive is not looked at further.
    if (this.#archives !== undefined && this.#archives.push(chunk).length > 0)
      this.#archives = undefined
    const [first] = this.#chunks
    if (first !== undefined)
      this.#part ??= { offset: at + first.byteOffset - chunk.byteOffset, size: this.#size }
    return this.#chunks
  }

  #begin(section: EifSection): void {
    this.#section = section
    this.#isOpen = false
    this.#sectionBytes = 0
    this.#archives = new CpioReader({
      begin: (entry) => {
        this.#isOpen = !this.#isFound && isRootImage(entry)
        this.#isFound ||= this.#isOpen
        if (this.#isOpen) this.#size = entry.size
      },
      data: (part) => {
        if (this.#isOpen) this.#chunks.push(part)
      },
    })
  }
}

function isRootImage({ name, mode }: CpioEntry): boolean {
  return name === SQUASHFS_MEMBER && (mode & FILE_TYPE.mask) === 0
}

/** The compressed root file system in an image whose sections are known; undefined when it has none. */
export async function findRootImage(
  source: ByteSource,
  sections: readonly EifSection[],
): Promise<ByteSource | undefined> {
  const root = new RootImage()
  for (const section of sections) {
    if (section.type !== 'ramdisk') continue
    for await (const chunk of chunksOf(source, section.offset, section.size)) {
      root.push(section, chunk)
      if (root.part !== undefined) return within(source, root.part)
    }
  }
  return undefined
}

function within(source: ByteSource, { offset, size }: FilePart): ByteSource {
  return { size, read: (at, length) => source.read(offset + at, length) }
}
