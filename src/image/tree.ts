// A file system tree in memory: names, attributes, and where contents can be read. Nothing is
// unpacked on the host, so no entry of a hostile archive can reach a file of the host, and no
// privilege is needed to carry owners and modes.

import { check } from '../errors.ts'
import type { Content } from '../eif/index.ts'

export interface Attributes {
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

export interface Directory {
  readonly kind: 'directory'
  attributes: Attributes
  readonly entries: Map<string, TreeNode>
}

/** Two names with the same object are hard links. */
export interface RegularFile {
  readonly kind: 'file'
  readonly attributes: Attributes
  readonly content: Content
}

export interface Symlink {
  readonly kind: 'symlink'
  readonly attributes: Attributes
  readonly target: string
}

export type TreeNode = Directory | RegularFile | Symlink

export interface PathEntry {
  /** Names joined by `/`, without a leading one. */
  readonly path: string
  readonly node: TreeNode
}

/** Linux: NAME_MAX, and PATH_MAX with its terminating NUL. */
const MAX_NAME_BYTES = 255
const MAX_PATH_BYTES = 4095

export function directory(mode = 0o755, entries: Iterable<[string, TreeNode]> = []): Directory {
  return { kind: 'directory', attributes: { mode, uid: 0, gid: 0 }, entries: new Map(entries) }
}

export function file(content: Content, mode = 0o644): RegularFile {
  return { kind: 'file', attributes: { mode, uid: 0, gid: 0 }, content }
}

/**
 * The names of a path inside a tree; none for the root itself.
 * @throws ERR_IMAGE_PATH for an absolute path, `..`, NUL, or lengths that Linux refuses
 */
export function parsePath(path: string): readonly string[] {
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  const isSafe = !path.startsWith('/') && !names.includes('..') && !path.includes('\0')
  checkPath(isSafe, path, 'leads out of the image')
  checkPath(Buffer.byteLength(path) <= MAX_PATH_BYTES, path, 'is too long')
  const fits = names.every((name) => Buffer.byteLength(name) <= MAX_NAME_BYTES)
  checkPath(fits, path, 'has a name that is too long')
  return names
}

/** The node at a path, without following symbolic links. */
export function find(root: Directory, names: readonly string[]): TreeNode | undefined {
  let node: TreeNode | undefined = root
  for (const name of names) {
    if (node?.kind !== 'directory') return undefined
    node = node.entries.get(name)
  }
  return node
}

/**
 * The directory at a path; what is missing is made, 0755 and root's.
 * @throws ERR_IMAGE_PATH when the path leads through a symbolic link or a file
 */
export function openDirectory(root: Directory, names: readonly string[]): Directory {
  let parent = root
  for (const name of names) {
    const node: TreeNode = parent.entries.get(name) ?? directory()
    const path = names.join('/')
    checkPath(node.kind !== 'symlink', path, 'leads through a symbolic link')
    checkPath(node.kind === 'directory', path, 'leads through a file')
    parent.entries.set(name, node)
    parent = node
  }
  return parent
}

/** Every node but the root, a directory before its contents, names in the order of their bytes. */
export function flatten(root: Directory): readonly PathEntry[] {
  const entries: PathEntry[] = []
  const visit = (parent: Directory, prefix: string): void => {
    for (const [name, node] of [...parent.entries].sort(byName)) {
      const path = prefix + name
      entries.push({ path, node })
      if (node.kind === 'directory') visit(node, `${path}/`)
    }
  }
  visit(root, '')
  return entries
}

function byName([a]: [string, TreeNode], [b]: [string, TreeNode]): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function checkPath(condition: boolean, path: string, problem: string): asserts condition {
  check(condition, 'ERR_IMAGE_PATH', `${path} ${problem}`, { details: { path } })
}
