// Removes what an enclave's root must not have or a ramdisk cannot carry, with one notice for each
// kind: device nodes and sockets (the agent mounts a devtmpfs on /dev), and extended attributes, file
// capabilities among them, which the initramfs format cannot store.

import { showName, type ByteName } from './byte-name.ts'
import { flatten, type Directory } from './tree.ts'

/** One line for a person: what was left out of the image. */
export type Notice = string

const SHOWN = 3

/** Removes device nodes and sockets from the tree. */
export function dropDevices(root: Directory): readonly Notice[] {
  const dropped: ByteName[] = []
  drop(root, '', dropped)
  return notice(dropped, 'device nodes and sockets are not in the image')
}

function drop(parent: Directory, prefix: ByteName, dropped: ByteName[]): void {
  for (const [name, node] of parent.entries) {
    const path = prefix + name
    if (node.kind === 'directory') drop(node, `${path}/`, dropped)
    if (node.kind !== 'device' && node.kind !== 'socket') continue
    parent.entries.delete(name)
    dropped.push(path)
  }
}

/** Says which files lose extended attributes in a ramdisk. */
export function lostAttributes(root: Directory): readonly Notice[] {
  const lost: ByteName[] = []
  for (const { path, node } of flatten(root)) {
    if (node.attributes.xattrs !== undefined && node.attributes.xattrs.size > 0) lost.push(path)
  }
  return notice(lost, 'extended attributes (file capabilities among them) are not in the image')
}

function notice(paths: readonly ByteName[], what: string): readonly Notice[] {
  if (paths.length === 0) return []
  const shown = paths.slice(0, SHOWN).map((path) => `/${showName(path)}`)
  const more = paths.length - SHOWN
  return [`${what}: ${shown.join(', ')}${more > 0 ? ` and ${String(more)} more` : ''}`]
}
