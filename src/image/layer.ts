// Applies a layer to a tree: OCI image-spec layer.md, "Applying Changesets". Whiteouts concern the
// layers below, wherever they stand in the archive, so they come first. Stricter than an unpacker:
// no path leads through a symbolic link, and no name stands twice in a layer.

import { check } from '../errors.ts'
import { type Content } from '../eif/index.ts'
import { chunksOf, type ByteSource } from '../files/index.ts'
import { readTar, type TarEntry, type TarType } from './tar.ts'
import {
  directory,
  find,
  openDirectory,
  parsePath,
  type Attributes,
  type Directory,
  type TreeNode,
} from './tree.ts'
import type { UnpackBudget } from './unpack-budget.ts'

const WHITEOUT = '.wh.'
const OPAQUE_WHITEOUT = '.wh..wh..opq'
const MAX_ID = 0xffff_fffe

interface LayerEntry {
  readonly tar: TarEntry
  readonly parent: readonly string[]
  /** Empty for the root. */
  readonly name: string
}

/**
 * Applies the changes of an uncompressed layer, whose `source` must stay open as long as the tree.
 * @throws ERR_IMAGE_TAR, ERR_IMAGE_PATH, ERR_IMAGE_ENTRY, ERR_IMAGE_DUPLICATE, ERR_IMAGE_LIMIT
 */
export async function applyLayer(
  root: Directory,
  source: ByteSource,
  budget: UnpackBudget,
): Promise<void> {
  const entries: LayerEntry[] = []
  for await (const tar of readTar(source)) {
    budget.takeEntry()
    const names = parsePath(tar.path)
    entries.push({ tar, parent: names.slice(0, -1), name: names.at(-1) ?? '' })
  }
  for (const entry of entries) if (isWhiteout(entry)) removeBelow(root, entry)
  const seen = new Map<string, TarType>()
  for (const entry of entries) if (!isWhiteout(entry)) add(root, entry, source, seen)
}

function isWhiteout({ name }: LayerEntry): boolean {
  return name.startsWith(WHITEOUT)
}

function removeBelow(root: Directory, { parent, name }: LayerEntry): void {
  const node = find(root, parent)
  if (node?.kind !== 'directory') return
  if (name === OPAQUE_WHITEOUT) node.entries.clear()
  else node.entries.delete(name.slice(WHITEOUT.length))
}

function add(
  root: Directory,
  entry: LayerEntry,
  source: ByteSource,
  seen: Map<string, TarType>,
): void {
  const { tar, parent, name } = entry
  const attributes = attributesOf(tar)
  if (name === '') {
    checkEntry(tar.type === 'directory', tar, 'is the root but not a directory')
    root.attributes = attributes
    return
  }
  if (isDeviceUnderDev(entry)) return
  checkUnique(entry, seen)
  const folder = openDirectory(root, parent)
  const existing = folder.entries.get(name)
  if (tar.type === 'directory' && existing?.kind === 'directory') existing.attributes = attributes
  else folder.entries.set(name, nodeOf(root, tar, attributes, source))
}

function nodeOf(
  root: Directory,
  tar: TarEntry,
  attributes: Attributes,
  source: ByteSource,
): TreeNode {
  if (tar.type === 'directory') return { ...directory(), attributes }
  if (tar.type === 'file') return { kind: 'file', attributes, content: extent(source, tar) }
  if (tar.type === 'symlink') {
    const length = Buffer.byteLength(tar.linkTarget)
    const isValid = length > 0 && length <= 4095 && !tar.linkTarget.includes('\0')
    checkEntry(isValid, tar, 'is a symbolic link with a bad target')
    return { kind: 'symlink', attributes, target: tar.linkTarget }
  }
  checkEntry(tar.type === 'link', tar, 'is a device or a pipe')
  const target = find(root, parsePath(tar.linkTarget))
  checkEntry(target !== undefined, tar, `is a hard link to ${tar.linkTarget}, which does not exist`)
  checkEntry(target.kind !== 'directory', tar, 'is a hard link to a directory')
  return target.kind === 'file' ? target : { ...target }
}

/** Images made from a bootstrapped system carry device nodes; the agent mounts a devtmpfs there. */
function isDeviceUnderDev({ tar, parent }: LayerEntry): boolean {
  return parent[0] === 'dev' && (tar.type === 'device' || tar.type === 'fifo')
}

/** Directories may be named again; anything else twice reads differently in different tools. */
function checkUnique({ tar, parent, name }: LayerEntry, seen: Map<string, TarType>): void {
  const path = [...parent, name].join('/')
  const isRepeatable = seen.get(path) === 'directory' && tar.type === 'directory'
  check(!seen.has(path) || isRepeatable, 'ERR_IMAGE_DUPLICATE', `${path} stands twice in a layer`, {
    details: { path },
  })
  seen.set(path, tar.type)
}

function attributesOf(tar: TarEntry): Attributes {
  const { mode, uid, gid } = tar
  checkEntry(uid <= MAX_ID && gid <= MAX_ID, tar, 'has an owner out of range')
  return { mode: tar.type === 'symlink' ? 0o777 : mode, uid, gid }
}

function extent(source: ByteSource, { offset, size }: TarEntry): Content {
  return { size, chunks: () => chunksOf(source, offset, size) }
}

function checkEntry(condition: boolean, { path }: TarEntry, problem: string): asserts condition {
  check(condition, 'ERR_IMAGE_ENTRY', `${path} ${problem}`, { details: { path } })
}
