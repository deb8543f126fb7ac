// One control group with limits: made, joined, asked whether the kernel killed something in it, and
// removed. Under version 1 it is a directory in each controller's hierarchy.

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { controllers, type Controller } from './hierarchy.ts'
import type { GroupLimits } from './limits.ts'

/** Where groups can be made: a directory for each controller, under version 2 the same one. */
export interface GroupBase {
  readonly version: 1 | 2
  readonly parents: ReadonlyMap<Controller, string>
}

/** Why the kernel killed a process: its group was full, or the host (or a group above) was. */
export type OutOfMemory = 'limit' | 'host'

const PERIOD_US = 100_000
/** The kernel charges memory in batches, and gives up when the next one does not fit. */
const FULL_WITHIN_BYTES = 2 ** 20
const REMOVE_MS = 10_000
const RETRY_MS = 10

/** Disposing removes the group, once its processes have gone. */
export class ControlGroup implements AsyncDisposable {
  readonly limits: GroupLimits
  /** What a process joins by writing to `cgroup.procs` there. */
  readonly directories: readonly string[]
  readonly #base: GroupBase
  readonly #name: string

  /** Nothing is made yet. */
  constructor(base: GroupBase, name: string, limits: GroupLimits) {
    this.#base = base
    this.#name = name
    this.limits = limits
    this.directories = [...new Set([...base.parents.values()].map((parent) => join(parent, name)))]
  }

  /** Makes the group with its limits. Throws the file system's error, and leaves nothing behind then. */
  make(): void {
    try {
      for (const directory of this.directories) mkdirSync(directory, { mode: 0o755 })
      for (const [file, value] of this.#settings()) writeFileSync(file, value)
      this.#limitSwap()
    } catch (error) {
      removeGroups(this.directories)
      throw error
    }
  }

  /** Whether the kernel has killed a process of the group because there was no memory. */
  outOfMemory(): OutOfMemory | undefined {
    const directory = this.#directory('memory')
    if (directory === undefined) return undefined
    const isLegacy = this.#base.version === 1
    const events = read(join(directory, isLegacy ? 'memory.oom_control' : 'memory.events'))
    if (count(events, 'oom_kill') === 0) return undefined
    const isFull = isLegacy ? this.#wasFull(directory) : count(events, 'oom') > 0
    return isFull ? 'limit' : 'host'
  }

  /** Version 1 does not say: the peak does. */
  #wasFull(directory: string): boolean {
    const peaks = ['memory.max_usage_in_bytes', 'memory.memsw.max_usage_in_bytes']
    const most = Math.max(...peaks.map((file) => Number(read(join(directory, file)))))
    return most >= this.limits.memoryBytes - FULL_WITHIN_BYTES
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const deadline = performance.now() + REMOVE_MS
    while (!removeGroups(this.directories) && performance.now() < deadline) await sleep(RETRY_MS)
  }

  /** Kernels without swap have no such file. */
  #limitSwap(): void {
    const [name, value] = swapSetting(this.#base.version, this.limits)
    const file = join(this.#directory('memory') ?? '', name)
    if (existsSync(file)) writeFileSync(file, value)
  }

  #directory(controller: Controller): string | undefined {
    const parent = this.#base.parents.get(controller)
    return parent === undefined ? undefined : join(parent, this.#name)
  }

  #settings(): readonly (readonly [file: string, value: string])[] {
    return controllers.flatMap((controller) => {
      const directory = this.#directory(controller)
      if (directory === undefined) return []
      return settings(controller, this.#base.version, this.limits).map(
        ([file, value]) => [join(directory, file), value] as const,
      )
    })
  }
}

/** The memory of a guest is not for a disk, and swap no way around its limit. */
function swapSetting(version: GroupBase['version'], { memoryBytes }: GroupLimits): Setting {
  return version === 1
    ? ['memory.memsw.limit_in_bytes', String(memoryBytes)]
    : ['memory.swap.max', '0']
}

type Setting = readonly [file: string, value: string]

function settings(
  controller: Controller,
  version: GroupBase['version'],
  { memoryBytes, cpus, processes }: GroupLimits,
): readonly Setting[] {
  const quotaUs = String(Math.ceil(cpus * PERIOD_US))
  const isLegacy = version === 1
  switch (controller) {
    case 'memory':
      return [[isLegacy ? 'memory.limit_in_bytes' : 'memory.max', String(memoryBytes)]]
    case 'pids':
      return [['pids.max', String(processes)]]
    case 'cpu':
      if (!isLegacy) return [['cpu.max', `${quotaUs} ${String(PERIOD_US)}`]]
      return [
        ['cpu.cfs_period_us', String(PERIOD_US)],
        ['cpu.cfs_quota_us', quotaUs],
      ]
  }
}

/**
 * Removes control groups that have no processes.
 *
 * @returns Whether none is left; false while a process is in one of them.
 */
export function removeGroups(directories: readonly string[]): boolean {
  return directories.map(removeGroup).every(Boolean)
}

function removeGroup(directory: string): boolean {
  try {
    rmdirSync(directory)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EBUSY'
  }
}

function count(events: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(events)?.[1] ?? 0)
}

/** Nothing where the kernel is too old to have the file. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
