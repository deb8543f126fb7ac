// A core dump of the broker would contain every key that it has unwrapped. RLIMIT_CORE forbids one in a file; where the
// kernel pipes dumps to a program, it ignores that limit, and core_pattern's reader gets the mappings that the filter of the
// process leaves: none.
// @see core(5)

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { CloisterError, reasonOf } from '../errors.ts'

/** For this process, and those that it starts, from now on. */
export function preventCoreDumps(report: (fault: unknown) => void): void {
  try {
    const limit = ['--pid', String(process.pid), '--core=0:0']
    const { status, error, stderr } = spawnSync('prlimit', limit, { encoding: 'utf8' })
    if (status !== 0) throw error ?? new Error(stderr.trim())
    writeFileSync('/proc/self/coredump_filter', '0')
  } catch (cause) {
    const message = `cannot prevent core dumps, which would contain keys: ${reasonOf(cause)}`
    report(new CloisterError('ERR_KMS_CORE_DUMPS', message, { cause }))
  }
}
