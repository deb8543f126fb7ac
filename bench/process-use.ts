// What processes and those that they have started use: processor time, with that of children that have ended, and
// memory (proc_pid_stat(5), proc_pid_status(5)).

import { readdirSync, readFileSync } from 'node:fs'

const TICKS_PER_SECOND = 100

/** The processes and all their descendants that run. */
export function withDescendants(pids: readonly number[]): readonly number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), Number(statOf(Number(name))[1])] as const)
  const found = new Set(pids)
  for (let size = 0; size !== found.size;) {
    size = found.size
    for (const [pid, parent] of parents) if (found.has(parent)) found.add(pid)
  }
  return [...found]
}

/** Seconds of processor time of all of them together. */
export function processorSeconds(pids: readonly number[]): number {
  // utime, stime, cutime, cstime
  const ticks = pids.flatMap((pid) => statOf(pid).slice(11, 15).map(Number))
  return ticks.reduce((sum, it) => sum + it, 0) / TICKS_PER_SECOND
}

export function residentMib(pids: readonly number[]): number {
  const kib = pids.map((pid) => Number(/^VmRSS:\s+(\d+)/m.exec(read(pid, 'status'))?.[1] ?? 0))
  return kib.reduce((sum, it) => sum + it, 0) / 1024
}

/** The fields after the command's name, from the state on; none of a process that has ended. */
function statOf(pid: number): readonly string[] {
  const stat = read(pid, 'stat')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${String(pid)}/${name}`, 'latin1')
  } catch {
    return ''
  }
}
