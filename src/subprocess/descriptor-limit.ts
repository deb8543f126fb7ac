// How many files a process may have open. Node raises its soft limit to the hard one when it starts,
// and children inherit that.

import { readFileSync } from 'node:fs'
import { CloisterError } from '../errors.ts'

/** The soft limit of this process (proc_pid_limits(5)); Infinity where there is none. */
export function descriptorLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8')
  const [, soft] = /^Max open files\s+(\d+)/m.exec(limits) ?? []
  return Number(soft ?? Infinity)
}

/** @throws `ERR_HOST_DESCRIPTORS` when fewer than `needed` files may be open. */
export function checkDescriptorLimit(needed: number, what: string): void {
  const limit = descriptorLimit()
  if (limit >= needed) return
  const message = `a process may have ${String(limit)} open files here; ${what} needs ${String(needed)}`
  throw new CloisterError('ERR_HOST_DESCRIPTORS', message, { details: { limit, needed } })
}
