// Members of a ramdisk that change what another member made. The kernel unpacks a repeated name over the
// first one, and writes what comes with a second link into the file that has the first (Linux
// init/initramfs.c, do_name and maybe_link); others, as the agent for `rootfs.squashfs`, take the first of
// two. A list of such a ramdisk's files says nothing certain.

import { posix } from 'node:path'

import { FILE_TYPE, type CpioEntry } from './cpio-reader.ts'

/** Far above what a root file system has; more are not looked at. */
const MAX_NAMES = 500_000
/** Of all names together. */
const MAX_NAME_BYTES = 64 * 1024 * 1024

/** Told of each member of one ramdisk in order, and of the end of each of its archives. */
export class Overwrites {
  readonly #paths = new Set<string>()
  /** What the kernel links to, until the archive ends. */
  readonly #inodes = new Map<string, { readonly attributes: string; hasContents: boolean }>()
  #nameBytes = 0
  #hasRepeatedName = false
  #hasRewrittenLink = false

  /** Whether two members have one path, however it is written. */
  get hasRepeatedName(): boolean {
    return this.#hasRepeatedName
  }

  /** Whether a further link brings contents of its own, or another mode, owner, time or device. */
  get hasRewrittenLink(): boolean {
    return this.#hasRewrittenLink
  }

  /** Whether there are more members than are looked at. */
  get isFull(): boolean {
    return this.#paths.size > MAX_NAMES || this.#nameBytes > MAX_NAME_BYTES
  }

  begin(entry: CpioEntry): void {
    if (this.isFull) return
    const path = pathOf(entry.name)
    this.#nameBytes += entry.name.length
    if (this.#paths.has(path)) this.#hasRepeatedName = true
    this.#paths.add(path)
    this.#link(entry)
  }

  /** The kernel forgets its links at the end of an archive. */
  trailer(): void {
    this.#inodes.clear()
  }

  #link(entry: CpioEntry): void {
    const key = linkKey(entry)
    if (key === undefined) return
    const { mode, uid, gid, mtime, device, size } = entry
    const attributes = [mode, uid, gid, mtime, ...device].join()
    const known = this.#inodes.get(key)
    if (known === undefined) {
      this.#inodes.set(key, { attributes, hasContents: size > 0 })
      return
    }
    if (known.attributes !== attributes || (known.hasContents && size > 0))
      this.#hasRewrittenLink = true
    known.hasContents ||= size > 0
  }
}

/** What the members have in common that the kernel links; undefined for one that is never linked. */
export function linkKey({ mode, links, inode, fileSystem }: CpioEntry): string | undefined {
  const type = mode & FILE_TYPE.mask
  const isNeverLinked = type === 0 || type === FILE_TYPE.directory || type === FILE_TYPE.symlink
  return links < 2 || isNeverLinked ? undefined : [...fileSystem, inode, type].join()
}

/** Where a member lies, from the root, in one form for every way to write it. */
export function pathOf(name: string): string {
  return posix.normalize(`/${name}`).replace(/(?<=.)\/$/, '')
}
