// Counts what the agent copies into the volumes of an image with a compressed root file system
// (enclave-images/agent/src/volumes.rs).

import type { VolumeLoad } from '../../eif/index.ts'
import { CloisterError } from '../../errors.ts'
import { findDirectory } from '../tree/follow-path.ts'
import { nameOfText } from '../tree/byte-name.ts'
import { flatten, parsePath, type Directory, type TreeNode } from '../tree/tree.ts'
import { UnpackBudget } from '../tree/unpack-budget.ts'

const PAGE_BYTES = 4096
/** What is below is hidden by a file system of the agent's, which such a volume becomes a part of. */
const HIDDEN = ['dev', 'proc', 'sys']

/**
 * The volumes' contents together; undefined when there are none.
 * @param volumes - Absolute paths, a directory before those in it.
 */
export function volumeLoadOf(root: Directory, volumes: readonly string[]): VolumeLoad | undefined {
  const seen = new Set<TreeNode>()
  const load = { inodes: 0, pages: 0, largestInodes: 0, largestPages: 0 }
  for (const volume of volumes) {
    const directory = findVolume(root, volume)
    // One in another volume is a directory of that, and copied with it.
    if (directory === undefined || seen.has(directory)) continue
    const { inodes, pages } = count(directory, seen)
    load.inodes += inodes
    load.pages += pages
    load.largestInodes = Math.max(load.largestInodes, inodes)
    load.largestPages = Math.max(load.largestPages, pages)
  }
  return load.inodes === 0 ? undefined : load
}

/** Undefined for what is missing: the agent makes it, or says why it cannot. */
function findVolume(root: Directory, volume: string): Directory | undefined {
  try {
    const names = parsePath(nameOfText(volume))
    const place = findDirectory(root, names, new UnpackBudget())
    const isHidden = HIDDEN.includes(place?.trail[0]?.name ?? '')
    return isHidden ? undefined : place?.directory
  } catch (error) {
    if (error instanceof CloisterError && error.code === 'ERR_IMAGE_PATH') return undefined
    throw error
  }
}

/** A file with several names is one file. */
function count(volume: Directory, seen: Set<TreeNode>): { inodes: number; pages: number } {
  const size = { inodes: 0, pages: 0 }
  const files = new Set<TreeNode>()
  seen.add(volume)
  for (const { node } of flatten(volume)) {
    if (node.kind === 'directory') seen.add(node)
    size.inodes += 1
    if (files.has(node)) continue
    if (node.kind !== 'directory' && node.isLinked === true) files.add(node)
    if (node.kind === 'file') size.pages += Math.ceil(node.content.size / PAGE_BYTES)
    if (node.kind === 'symlink') size.pages += 1
  }
  return size
}
