// Where this process may make control groups: always below what it is in, so that the limits of a
// container or a unit hold for its enclaves too.

import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { controllers, parseHierarchies, type Controller, type Hierarchy } from './hierarchy.ts'
import { isBootedWithSystemd, isDelegated, type Manager } from './systemd.ts'

/** The group that a delegated group's processes are moved to, because a group has processes or groups. */
export const MAIN_GROUP = 'cloister-main'

export type GroupPlan =
  /** Version 1: below the own group of each controller. */
  | { readonly how: 'legacy'; readonly parents: ReadonlyMap<Controller, string> }
  /** Version 2: below `parent`; its processes are moved to {@link MAIN_GROUP} where `isOurs`. */
  | { readonly how: 'unified'; readonly parent: string; readonly isOurs: boolean }
  /** Version 2: in a scope that systemd makes. */
  | { readonly how: 'scope'; readonly manager: Manager }
  | { readonly how: 'none'; readonly reason: string; readonly fix: string }

/** Decides; nothing is changed by that. */
export async function planGroups(): Promise<GroupPlan> {
  const hierarchies = parseHierarchies(
    readFileSync('/proc/self/mountinfo', 'utf8'),
    readFileSync('/proc/self/cgroup', 'utf8'),
  )
  const { unified, legacy } = hierarchies
  if (unified !== undefined && hasControllers(unified.mount)) return planUnified(unified)
  const parents = new Map(Array.from(legacy, ([name, { own }]) => [name, own] as const))
  if (!controllers.every((name) => parents.has(name)))
    return none('no control groups for memory, CPU and processes are mounted', MOUNT)
  const denied = [...parents.values()].find((parent) => !isWritable(parent))
  if (denied !== undefined)
    return none(`no control group may be created in ${denied}`, 'Start Cloister as root.')
  return { how: 'legacy', parents }
}

const MOUNT = 'Mount version 2: `mount -t cgroup2 none /sys/fs/cgroup`.'
const DELEGATE =
  'Add Delegate=yes to the unit, or start enclaves from a login session or with `systemd-run --scope`.'

async function planUnified({ own, mount }: Hierarchy): Promise<GroupPlan> {
  // Only the hierarchy's root has no type, and may have both processes and groups.
  if (!existsSync(join(own, 'cgroup.type')) && isWritable(own))
    return { how: 'unified', parent: own, isOurs: false }
  if (basename(own) === MAIN_GROUP) return { how: 'unified', parent: dirname(own), isOurs: true }
  if (!isBootedWithSystemd()) {
    if (isGiven(own, mount)) return { how: 'unified', parent: own, isOurs: true }
    const isRoot = process.getuid?.() === 0
    return none(`the control group ${own} belongs to others`, isRoot ? FROM_THE_ROOT : WRITABLE)
  }
  const manager = managerOf(own)
  const unit = basename(own)
  if (await isDelegated(unit, manager)) return { how: 'unified', parent: own, isOurs: true }
  if (!unit.endsWith('.scope')) return none(`the unit ${unit} is not delegated`, DELEGATE)
  // A session's scope is the system manager's, but a user asks their own.
  return { how: 'scope', manager: process.getuid?.() === 0 ? 'system' : 'user' }
}

const FROM_THE_ROOT =
  'Start Cloister from the root group (echo $$ > /sys/fs/cgroup/cgroup.procs); in a container, give it a private cgroup namespace.'

const WRITABLE =
  'Start Cloister as root; in a container, let it write to /sys/fs/cgroup (a private cgroup namespace, mounted read-write).'

/** A container has the root of its namespace to itself; a user, a group that belongs to them. */
function isGiven(own: string, mount: string): boolean {
  if (!isWritable(own)) return false
  const uid = process.getuid?.() ?? 0
  return own === mount || (uid !== 0 && statSync(own).uid === uid)
}

/** Whose unit a group is: a user manager has its units below its own service. */
function managerOf(own: string): Manager {
  return /\/user@\d+\.service\/./.test(own) ? 'user' : 'system'
}

function hasControllers(mount: string): boolean {
  try {
    const names = readFileSync(join(mount, 'cgroup.controllers'), 'utf8').trim().split(' ')
    return names.includes('memory') && names.includes('pids')
  } catch {
    return false
  }
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK)
    accessSync(join(directory, 'cgroup.procs'), constants.W_OK)
    return true
  } catch {
    return false
  }
}

function none(reason: string, fix: string): GroupPlan {
  return { how: 'none', reason, fix }
}
