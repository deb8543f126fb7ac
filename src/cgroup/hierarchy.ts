// Where the control group file systems of this host are mounted, and the groups that a process is in
// (cgroups(7)): version 2 has one hierarchy for every controller, version 1 one for each or a few.

import { join, relative } from 'node:path'

/** What limits an enclave. */
export const controllers = ['memory', 'cpu', 'pids'] as const
export type Controller = (typeof controllers)[number]

/** One hierarchy: its mount point, and the group of the process as a directory below it. */
export interface Hierarchy {
  readonly mount: string
  readonly own: string
}

export interface Hierarchies {
  /** The unified hierarchy; its `cgroup.controllers` says which controllers it has. */
  readonly unified: Hierarchy | undefined
  /** The controllers that version 1 has. */
  readonly legacy: ReadonlyMap<Controller, Hierarchy>
}

/**
 * Reads `/proc/<pid>/mountinfo` and `/proc/<pid>/cgroup`. A hierarchy whose mount does not show the
 * process's own group is left out.
 */
export function parseHierarchies(mountinfo: string, membership: string): Hierarchies {
  const mounts = mountinfo.split('\n').flatMap(parseMount)
  const groups = membership.split('\n').flatMap(parseGroup)
  const unifiedMount = mounts.find(({ type }) => type === 'cgroup2')
  const unifiedPath = groups.find(({ names }) => names.length === 0)?.path
  const legacy = new Map<Controller, Hierarchy>()
  for (const controller of controllers) {
    const mount = mounts.find(({ type, names }) => type === 'cgroup' && names.includes(controller))
    const path = groups.find(({ names }) => names.includes(controller))?.path
    const found = hierarchy(mount, path)
    if (found !== undefined) legacy.set(controller, found)
  }
  return { unified: hierarchy(unifiedMount, unifiedPath), legacy }
}

interface Mount {
  readonly type: string
  /** What of the hierarchy is mounted. */
  readonly root: string
  readonly point: string
  readonly names: readonly string[]
}

function hierarchy(mount: Mount | undefined, path: string | undefined): Hierarchy | undefined {
  if (mount === undefined || path === undefined) return undefined
  const below = relative(mount.root, path)
  if (below.startsWith('..')) return undefined
  return { mount: mount.point, own: join(mount.point, below) }
}

/** `36 25 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu`; proc_pid_mountinfo(5). */
function parseMount(line: string): readonly Mount[] {
  const [before = '', after = ''] = line.split(' - ')
  const [, , , root, point] = before.split(' ')
  const [type = '', , options = ''] = after.split(' ')
  if (root === undefined || point === undefined || !type.startsWith('cgroup')) return []
  return [{ type, root: unescape(root), point: unescape(point), names: options.split(',') }]
}

/** `4:memory:/group`; of version 2 `0::/group`. A path may contain colons. */
function parseGroup(line: string): readonly { names: readonly string[]; path: string }[] {
  const [, names, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
  if (names === undefined || path === undefined) return []
  return [{ names: names === '' ? [] : names.split(','), path }]
}

/** Octal escapes, as `\040`. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}
