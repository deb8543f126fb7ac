// Applies a layer to a tree: OCI image-spec layer.md, "Applying Changesets". Entries count in their
// order, the last of a name wins; whiteouts concern the layers below only. A path is followed through
// symbolic links inside the tree, as umoci and containerd do it.

import { check } from '../../errors.ts'
import type { ByteSource } from '../../files/index.ts'
import { showName, type ByteName } from '../tree/byte-name.ts'
import { findDirectory, makeDirectory, type Place, type Step } from '../tree/follow-path.ts'
import { readTar, type TarEntry } from '../archive/tar.ts'
import {
  MAX_ID,
  MAX_PATH_BYTES,
  directory,
  parsePath,
  type Attributes,
  type Directory,
  type TreeNode,
} from '../tree/tree.ts'
import type { UnpackBudget } from '../tree/unpack-budget.ts'

const WHITEOUT = '.wh.'
const OPAQUE_WHITEOUT = '.wh..wh..opq'

/**
 * Applies the changes of an uncompressed layer, whose `source` must stay open as long as the tree.
 * @throws ERR_IMAGE_TAR, ERR_IMAGE_PATH, ERR_IMAGE_ENTRY, ERR_IMAGE_LIMIT
 */
export async function applyLayer(
  root: Directory,
  source: ByteSource,
  budget: UnpackBudget,
): Promise<void> {
  const layer = new Layer(root, budget)
  for await (const entry of readTar(source, budget)) layer.apply(entry)
}

class Layer {
  readonly #root: Directory
  readonly #budget: UnpackBudget
  /** The names that this layer wrote, and those above them: no whiteout of this layer removes one. */
  readonly #own = new Map<Directory, Set<ByteName>>()

  constructor(root: Directory, budget: UnpackBudget) {
    this.#root = root
    this.#budget = budget
  }

  apply(tar: TarEntry): void {
    this.#budget.takeEntry()
    this.#budget.takeMetadata(tar.path.length + tar.linkTarget.length)
    const names = parsePath(tar.path)
    const name = names.pop()
    if (name === undefined) this.#applyRoot(tar)
    else if (name.startsWith(WHITEOUT)) this.#whiteOut(names, name)
    else this.#add(tar, names, name)
  }

  #applyRoot(tar: TarEntry): void {
    checkEntry(tar.type === 'directory', tar, 'is the root but not a directory')
    this.#root.attributes = attributesOf(tar)
  }

  #add(tar: TarEntry, parent: readonly ByteName[], name: ByteName): void {
    const attributes = attributesOf(tar)
    const place = makeDirectory(this.#root, parent, this.#budget)
    const { entries } = place.directory
    const existing = entries.get(name)
    if (tar.type === 'directory' && existing?.kind === 'directory') existing.attributes = attributes
    else entries.set(name, this.#node(tar, attributes))
    this.#claim(place, name)
  }

  #node(tar: TarEntry, attributes: Attributes): TreeNode {
    if (tar.type === 'directory') return { ...directory(), attributes }
    if (tar.type === 'link') return this.#linkTarget(tar)
    if (tar.type !== 'symlink') return nodeOf(tar, tar.type, attributes)
    const { linkTarget: target } = tar
    checkEntry(target !== '', tar, 'is a symbolic link to nothing')
    checkEntry(target.length <= MAX_PATH_BYTES, tar, 'is a symbolic link with too long a target')
    return { kind: 'symlink', attributes, target }
  }

  #linkTarget(tar: TarEntry): TreeNode {
    const names = parsePath(tar.linkTarget)
    const name = names.pop() ?? ''
    const node = findDirectory(this.#root, names, this.#budget)?.directory.entries.get(name)
    const shown = showName(tar.linkTarget)
    checkEntry(node !== undefined, tar, `is a hard link to ${shown}, which does not exist`)
    checkEntry(node.kind !== 'directory', tar, `is a hard link to the directory ${shown}`)
    node.isLinked = true
    return node
  }

  #whiteOut(parent: readonly ByteName[], name: ByteName): void {
    const place = findDirectory(this.#root, parent, this.#budget)
    if (place === undefined) return
    if (name === OPAQUE_WHITEOUT) this.#removeBelow(place.directory)
    else this.#remove(place.directory, name.slice(WHITEOUT.length))
  }

  /** Removes what the layers below had there. */
  #remove(parent: Directory, name: ByteName): void {
    this.#budget.takeSteps(1)
    if (this.#own.get(parent)?.has(name) !== true) {
      parent.entries.delete(name)
      return
    }
    const node = parent.entries.get(name)
    if (node?.kind === 'directory') this.#removeBelow(node)
  }

  #removeBelow(parent: Directory): void {
    for (const name of [...parent.entries.keys()]) this.#remove(parent, name)
  }

  #claim({ directory: parent, trail }: Place, name: ByteName): void {
    let step: Step | undefined = { parent, name }
    for (let index = trail.length - 1; step !== undefined; index--) {
      const names: Set<ByteName> = this.#own.get(step.parent) ?? new Set()
      if (names.has(step.name)) return
      this.#own.set(step.parent, names.add(step.name))
      step = trail[index]
    }
  }
}

function nodeOf(tar: TarEntry, type: 'file' | 'device' | 'fifo', attributes: Attributes): TreeNode {
  if (type === 'file') return { kind: 'file', attributes, content: tar.content }
  return { kind: type, attributes }
}

function attributesOf(tar: TarEntry): Attributes {
  const { uid, gid, mtime, xattrs } = tar
  checkEntry(uid <= MAX_ID && gid <= MAX_ID, tar, 'has an owner out of range')
  const mode = tar.type === 'symlink' ? 0o777 : tar.mode
  return { mode, uid, gid, mtime, ...(xattrs !== undefined && { xattrs }) }
}

function checkEntry(condition: boolean, tar: TarEntry, problem: string): asserts condition {
  if (condition) return
  const path = showName(tar.path)
  check(false, 'ERR_IMAGE_ENTRY', `${path} ${problem}`, { details: { path } })
}
