// What the kernel knows of a process: proc_pid_status(5), proc_pid_stat(5), proc_pid_smaps(5),
// namespaces(7), cgroups(7).

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { isRunning, type ProcessIdentity } from './process-identity.ts'

export interface ProcessFacts {
  readonly pid: number
  /** Effective. */
  readonly uid: number
  readonly gid: number
  readonly threads: number
  /** Absent where we may not look. */
  readonly descriptors?: number
  readonly residentBytes: number
  /** PSS: memory that several processes share is divided among them. Absent where we may not look. */
  readonly proportionalBytes?: number
  /** Of the CPUs, in user and kernel mode. */
  readonly cpuSeconds: number
  /** Paths in the hierarchies, one for cgroup v2. */
  readonly cgroups: readonly string[]
  readonly sandbox: ProcessSandbox
}

export interface ProcessSandbox {
  readonly noNewPrivileges: boolean
  readonly seccomp: 'off' | 'strict' | 'filter'
  /** Filters in force. */
  readonly seccompFilters: number
  /** Effective capabilities as a mask, in hexadecimal; `0` for none. */
  readonly capabilities: string
  /** Namespaces that are not ours, such as `mnt` and `net`. Absent where we may not look. */
  readonly ownNamespaces?: readonly string[]
}

/** USER_HZ, the same on every architecture that Linux has today. */
const TICKS_PER_SECOND = 100
const SECCOMP_MODES = ['off', 'strict', 'filter'] as const

/** Undefined when exactly this process does not run any more. */
export function processFacts(identity: ProcessIdentity): ProcessFacts | undefined {
  const proc = `/proc/${String(identity.pid)}`
  try {
    const facts = read(proc, identity.pid)
    // Not somebody else's who got the pid meanwhile.
    return isRunning(identity) ? facts : undefined
  } catch {
    return undefined
  }
}

function read(proc: string, pid: number): ProcessFacts {
  const status = statusOf(proc)
  const number = (key: string, column = 0): number =>
    Number((status.get(key) ?? '').split(/\s+/)[column] ?? 0)
  const descriptors = tryTo(() => readdirSync(`${proc}/fd`).length)
  const proportionalBytes = tryTo(() => proportional(proc))
  return {
    ...{ pid, uid: number('Uid', 1), gid: number('Gid', 1), threads: number('Threads') },
    ...(descriptors !== undefined && { descriptors }),
    residentBytes: number('VmRSS') * 1024,
    ...(proportionalBytes !== undefined && { proportionalBytes }),
    cpuSeconds: cpuSeconds(proc),
    cgroups: cgroupsOf(proc),
    sandbox: sandboxOf(proc, status, number),
  }
}

function sandboxOf(
  proc: string,
  status: ReadonlyMap<string, string>,
  number: (key: string) => number,
): ProcessSandbox {
  const ownNamespaces = tryTo(() => foreignNamespaces(proc))
  return {
    noNewPrivileges: number('NoNewPrivs') === 1,
    seccomp: SECCOMP_MODES[number('Seccomp')] ?? 'filter',
    seccompFilters: number('Seccomp_filters'),
    capabilities: (status.get('CapEff') ?? '').replace(/^0+(?=.)/, ''),
    ...(ownNamespaces !== undefined && { ownNamespaces }),
  }
}

function statusOf(proc: string): ReadonlyMap<string, string> {
  const lines = readFileSync(`${proc}/status`, 'utf8').split('\n')
  return new Map(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const
    }),
  )
}

function proportional(proc: string): number | undefined {
  const [, kib] = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`${proc}/smaps_rollup`, 'utf8')) ?? []
  return kib === undefined ? undefined : Number(kib) * 1024
}

/** Fields 14 and 15, counted behind the name, which may hold anything. */
function cpuSeconds(proc: string): number {
  const stat = readFileSync(`${proc}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

function cgroupsOf(proc: string): readonly string[] {
  const lines = readFileSync(`${proc}/cgroup`, 'utf8').trimEnd().split('\n')
  const paths = lines.map((line) => line.replace(/^\d+:/, '').replace(/^:/, ''))
  return paths.filter((path) => path !== '' && !path.endsWith(':/'))
}

function foreignNamespaces(proc: string): readonly string[] {
  return readdirSync('/proc/self/ns')
    .filter((name) => !name.endsWith('_for_children'))
    .filter((name) => readlinkSync(`${proc}/ns/${name}`) !== readlinkSync(`/proc/self/ns/${name}`))
}

function tryTo<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}
