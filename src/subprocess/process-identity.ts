// A pid is reused; a pid with its start time is not. proc(5): field 22 of /proc/<pid>/stat is the
// start time in clock ticks since boot.

import { readFileSync } from 'node:fs'

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks since boot. */
  readonly startTime: number
}

/** Who runs as `pid` now, or undefined when nobody does (a zombie is nobody). */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const fields = statFields(pid)
  if (fields === undefined || fields[0] === 'Z' || fields[0] === 'X') return undefined
  return { pid, startTime: Number(fields[19]) }
}

/** The same, where it is a child of `parent`. */
export function identifyChild(pid: number, parent: number): ProcessIdentity | undefined {
  return Number(statFields(pid)?.[1]) === parent ? identifyProcess(pid) : undefined
}

/** Whether exactly this process still runs. */
export function isRunning(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startTime === identity.startTime
}

/** Kills exactly this process, if it still runs. */
export function killProcess(identity: ProcessIdentity): void {
  if (!isRunning(identity)) return
  try {
    process.kill(identity.pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** The fields after the command name, which may itself hold spaces and parentheses. */
function statFields(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}
