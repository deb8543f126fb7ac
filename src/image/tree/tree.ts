// A file system tree in memory: names, attributes, and where contents can be read. Nothing is
// unpacked on the host, so no entry of a hostile archive can reach a file of the host, and no
// privilege is needed to carry owners and modes.

import { check } from '../../errors.ts'
import type { Content } from '../../eif/index.ts'
import { showName, type ByteName } from './byte-name.ts'

export interface Attributes {
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** When it was last modified: whole seconds since 1970, below 2^32. Absent: 0. */
  readonly mtime?: number
  /** Extended attributes, `security.capability` among them. */
  readonly xattrs?: ReadonlyMap<string, Uint8Array>
}

export interface Directory {
  readonly kind: 'directory'
  attributes: Attributes
  readonly entries: Map<ByteName, TreeNode>
}

/** Two names with the same object are hard links. */
interface Linkable {
  attributes: Attributes
  /** Whether it may have more than one name. */
  isLinked?: boolean
}

export interface RegularFile extends Linkable {
  readonly kind: 'file'
  readonly content: Content
}

export interface Symlink extends Linkable {
  readonly kind: 'symlink'
  readonly target: ByteName
}

/** A named pipe; or a device node or socket, which no image gets (see drop-devices.ts). */
export interface SpecialFile extends Linkable {
  readonly kind: 'fifo' | 'device' | 'socket'
}

/** Bytes that are in a ramdisk, but in no file system: the kernel does not unpack them. */
export interface UntypedMember extends Linkable {
  readonly kind: 'untyped'
  readonly content: Content
}

export type TreeNode = Directory | RegularFile | Symlink | SpecialFile | UntypedMember

export interface PathEntry {
  /** Names joined by `/`, without a leading one. */
  readonly path: ByteName
  readonly node: TreeNode
}

/** The highest user or group id: the next is the kernel's "no such user". */
export const MAX_ID = 0xffff_fffe
/** Linux: NAME_MAX, and PATH_MAX with its terminating NUL. */
const MAX_NAME_BYTES = 255
export const MAX_PATH_BYTES = 4095
/** Directories above a file; a tree that is deeper was made to cost time. */
export const MAX_DEPTH = 255

/** A directory owned by root; `mode` holds permission bits only. */
export function directory(mode = 0o755, entries: Iterable<[ByteName, TreeNode]> = []): Directory {
  return { kind: 'directory', attributes: { mode, uid: 0, gid: 0 }, entries: new Map(entries) }
}

/** A regular file owned by root; `mode` holds permission bits only. */
export function file(content: Content, mode = 0o644): RegularFile {
  return { kind: 'file', attributes: { mode, uid: 0, gid: 0 }, content }
}

/**
 * The names of a path inside a tree; none for the root itself. A leading `/` is the tree's root.
 * @throws ERR_IMAGE_PATH for `..`, NUL, or lengths and depths that are refused
 */
export function parsePath(path: ByteName): ByteName[] {
  checkPath(path.length <= MAX_PATH_BYTES, path, 'is too long')
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  checkPath(!names.includes('..') && !path.includes('\0'), path, 'leads out of the image')
  checkPath(names.length <= MAX_DEPTH, path, 'is too deep')
  const fits = names.every((name) => name.length <= MAX_NAME_BYTES)
  checkPath(fits, path, 'has a name that is too long')
  return names
}

/** Every node but the root, a directory before its contents, names in the order of their bytes. */
export function* flatten(root: Directory): Generator<PathEntry> {
  // A generator inside a generator for every directory would make each step cost the depth.
  const open: Level[] = [levelOf(root, '')]
  for (let level = open.at(-1); level !== undefined; level = open.at(-1)) {
    const name = level.names.pop()
    const node = name === undefined ? undefined : level.directory.entries.get(name)
    if (name === undefined || node === undefined) {
      open.pop()
      continue
    }
    const path = level.prefix + name
    yield { path, node }
    if (node.kind === 'directory') open.push(levelOf(node, `${path}/`))
  }
}

interface Level {
  readonly directory: Directory
  readonly prefix: ByteName
  /** What is left of it, the next name last. */
  readonly names: ByteName[]
}

function levelOf(directory: Directory, prefix: ByteName): Level {
  return { directory, prefix, names: [...directory.entries.keys()].sort(byBytes).reverse() }
}

function byBytes(a: ByteName, b: ByteName): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** @throws ERR_IMAGE_PATH */
export function checkPath(condition: boolean, path: ByteName, problem: string): asserts condition {
  if (condition) return
  const shown = showName(path.length > 200 ? `${path.slice(0, 200)}...` : path)
  check(false, 'ERR_IMAGE_PATH', `${shown} ${problem}`, { details: { path: shown } })
}
