// A root file system in a directory of the host, as a container image made of it would have it: modes,
// owners, symbolic links, hard links and named pipes. The owner of the top directory becomes root, and
// its group's write permission is dropped (a umask of 002 grants it), so that a checkout gives the same
// image for every user, while a tree that root made keeps every owner.
// Left out: extended attributes, unless they are asked for: a ramdisk cannot store them.

import type { Stats } from 'node:fs'
import { lstat, readdir, readlink, stat } from 'node:fs/promises'

import { CloisterError, check, reasonOf } from '../../errors.ts'
import type { Content } from '../../eif/index.ts'
import { openInputFile, passingChunksOf } from '../../files/index.ts'
import { bytesOfName, nameOfText, showName, type ByteName } from '../tree/byte-name.ts'
import {
  directory,
  parsePath,
  type Attributes,
  type Directory,
  type RegularFile,
  type SpecialFile,
  type TreeNode,
} from '../tree/tree.ts'
import { readAttributes } from './directory-attributes.ts'
import { HeldDirectory } from './held-directory.ts'
import { imageTime } from '../tree/times.ts'
import { UnpackBudget } from '../tree/unpack-budget.ts'

export interface Owner {
  readonly uid: number
  readonly gid: number
}

export interface DirectoryOptions {
  /** The owner of everything; by default each file keeps its own, and the top directory's is root. */
  readonly owner?: Owner
  /**
   * `git`: 0755 for what the owner may execute and for directories, else 0644: what a checkout keeps
   * under any umask. `keep`: as they are, except what a umask of 002 adds.
   */
  readonly modes?: 'keep' | 'git'
  /** Whether to read extended attributes; with the modes of git there are none. */
  readonly attributes?: boolean
  readonly budget?: UnpackBudget
}

const OWNER_EXECUTE = 0o100
const GROUP_WRITE = 0o020
const OTHER_WRITE = 0o002
/** Set-user-id, set-group-id, sticky. */
const SPECIAL = 0o7000
const CODE = 'ERR_IMAGE_SOURCE_MISSING'

/**
 * Scans a directory; file contents are read later, when the image is written.
 * @throws ERR_IMAGE_SOURCE_MISSING, ERR_IMAGE_PATH, ERR_IMAGE_LIMIT, ERR_IMAGE_TOOL_MISSING
 */
export async function readDirectorySource(
  path: string,
  options: DirectoryOptions = {},
): Promise<Directory> {
  const host = nameOfText(path)
  const status = await orMissing(host, stat(path))
  check(status.isDirectory(), CODE, `${path} is not a directory`, { details: { path } })
  await using top = await orMissing(host, HeldDirectory.named(bytesOfName(host)))
  const budget = options.budget ?? new UnpackBudget()
  const root = await new Scan(top.status, options, budget).directory(top, { host, inside: '' })
  if (options.attributes === true && options.modes !== 'git')
    await readAttributes(top, root, budget)
  return root
}

/** Where a member is, in words for errors and later reading, and in the image. */
interface Place {
  readonly host: ByteName
  readonly inside: ByteName
}

class Scan {
  readonly #top: Stats
  readonly #options: DirectoryOptions
  readonly #budget: UnpackBudget
  /** Files with more than one name, by device and inode. */
  readonly #linked = new Map<string, RegularFile | SpecialFile>()

  constructor(top: Stats, options: DirectoryOptions, budget: UnpackBudget) {
    this.#top = top
    this.#options = options
    this.#budget = budget
  }

  async directory(held: HeldDirectory, { host, inside }: Place): Promise<Directory> {
    const result: Directory = { ...directory(), attributes: this.#attributes(held.status) }
    const names: Buffer[] = await orMissing(host, readdir(held.path, { encoding: 'buffer' }))
    for (const bytes of names) {
      const name = bytes.toString('latin1')
      const path = inside === '' ? name : `${inside}/${name}`
      this.#budget.takeMetadata(path.length)
      parsePath(path)
      const place = { host: `${host}/${name}`, inside: path }
      result.entries.set(name, await this.#node(held, name, place))
    }
    return result
  }

  async #node(parent: HeldDirectory, name: ByteName, place: Place): Promise<TreeNode> {
    this.#budget.takeEntry()
    const { host } = place
    const member = parent.member(name)
    const status = await orMissing(host, lstat(member))
    if (status.isDirectory()) {
      await using held = await orMissing(host, parent.enter(name))
      return await this.directory(held, place)
    }
    if (status.isSymbolicLink())
      return this.#symlink(await orMissing(host, readlink(member, 'latin1')), status)
    const key = `${String(status.dev)}:${String(status.ino)}`
    const known = this.#linked.get(key)
    if (known !== undefined) return known
    const node = this.#file(host, status)
    if (status.nlink > 1) this.#linked.set(key, Object.assign(node, { isLinked: true }))
    return node
  }

  #file(host: ByteName, status: Stats): RegularFile | SpecialFile {
    const attributes = this.#attributes(status)
    if (status.isFIFO()) return { kind: 'fifo', attributes }
    if (status.isSocket()) return { kind: 'socket', attributes }
    if (!status.isFile()) return { kind: 'device', attributes }
    this.#budget.takeBytes(status.size)
    return { kind: 'file', attributes, content: memberContent(host, status) }
  }

  #symlink(target: ByteName, status: Stats): TreeNode {
    const attributes = { ...this.#attributes(status), mode: 0o777 }
    return { kind: 'symlink', attributes, target }
  }

  #attributes(status: Stats): Attributes {
    const { uid, gid } = this.#options.owner ?? {
      uid: status.uid === this.#top.uid ? 0 : status.uid,
      gid: status.gid === this.#top.gid ? 0 : status.gid,
    }
    return { mode: this.#mode(status), uid, gid, mtime: imageTime(status.mtimeMs / 1000) }
  }

  #mode(status: Stats): number {
    const mode = status.mode & 0o7777
    if (this.#options.modes !== 'git') return this.#isOfUmask(status) ? mode & ~GROUP_WRITE : mode
    const isExecutable = status.isDirectory() || (status.mode & OWNER_EXECUTE) !== 0
    return isExecutable ? 0o755 : 0o644
  }

  /** Whether group write may come from a umask of 002: others cannot write, and nothing is special. */
  #isOfUmask({ uid, gid, mode }: Stats): boolean {
    const isTops = uid === this.#top.uid && gid === this.#top.gid
    return isTops && (mode & (SPECIAL | OTHER_WRITE)) === 0
  }
}

/**
 * The contents of a member, which must still be what was scanned when it is read. A chunk is valid until the next
 * one is asked for.
 */
function memberContent(host: ByteName, { size, ino, dev }: Stats): Content {
  const path = bytesOfName(host)
  return {
    size,
    async *chunks() {
      await using input = await openInputFile(path, CODE, { noFollow: true })
      const now = await input.handle.stat()
      const isSame = now.size === size && now.ino === ino && now.dev === dev
      check(isSame, 'ERR_IMAGE_SOURCE_CHANGED', `${showName(host)} changed while it was read`, {
        details: { path: showName(host), expected: size, actual: now.size },
      })
      yield* passingChunksOf(input.source(), 0, size)
    },
  }
}

async function orMissing<T>(host: ByteName, operation: Promise<T>): Promise<T> {
  return operation.catch((cause: unknown) => {
    const path = showName(host)
    throw new CloisterError(CODE, `cannot read ${path}: ${reasonOf(cause)}`, {
      details: { path },
      cause,
      hint: 'Check the path and its permissions; build as a user who can read every file in it.',
    })
  })
}
