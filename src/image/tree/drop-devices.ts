// Removes what an enclave's root must not have or an image cannot carry, with one notice for each
// kind: device nodes and sockets (the agent mounts a devtmpfs on /dev), and extended attributes.

import type { RootKind } from '../root/root-kind.ts'
import { showName, type ByteName } from './byte-name.ts'
import { flatten, type Directory } from './tree.ts'

/** One line for a person: what was left out of the image. */
export type Notice = string

const SHOWN = 3

/** Removes device nodes and sockets from the tree. */
export function dropDevices(root: Directory): readonly Notice[] {
  const dropped: ByteName[] = []
  drop(root, '', dropped)
  return notice(dropped, 'device nodes and sockets are left out of the image')
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

/**
 * Removes the extended attributes that the image cannot store: all in a ramdisk; in SquashFS those
 * of other namespaces than its three, POSIX ACLs for instance, and those that would steer the
 * overlay above it.
 */
export function dropAttributes(root: Directory, kind: RootKind): readonly Notice[] {
  const isKept = (name: string): boolean =>
    kind === 'squashfs' &&
    /^(user|trusted|security)\../s.test(name) &&
    !name.startsWith('trusted.overlay.')
  const lost: ByteName[] = []
  for (const { path, node } of [{ path: '', node: root }, ...flatten(root)]) {
    const { xattrs } = node.attributes
    if (xattrs === undefined || xattrs.size === 0) continue
    const kept = new Map([...xattrs].filter(([name]) => isKept(name)))
    if (kept.size === xattrs.size) continue
    node.attributes = { ...node.attributes, xattrs: kept }
    lost.push(path)
  }
  const what =
    kind === 'squashfs'
      ? 'extended attributes other than user, trusted and security are left out of the image'
      : 'extended attributes, including file capabilities, are left out of the image'
  return notice(lost, what)
}

function notice(paths: readonly ByteName[], what: string): readonly Notice[] {
  if (paths.length === 0) return []
  const shown = paths.slice(0, SHOWN).map((path) => `/${showName(path)}`)
  const more = paths.length - SHOWN
  return [`${what}: ${shown.join(', ')}${more > 0 ? ` and ${String(more)} more` : ''}`]
}
