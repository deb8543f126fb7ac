// Waiting for the heartbeat: it comes, or the guest says why not, or a part dies, or time is up.
// Each of the four is told apart.

import { CloisterError } from '../errors.ts'
import type { EndCause } from './end-cause.ts'

export interface BootWatch {
  /** Resolves when the guest's heartbeat came. */
  readonly heartbeat: Promise<void>
  /** Resolves when any part ends before. */
  readonly firstEnd: Promise<EndCause>
  readonly timeoutMs: number
  /** The last lines of the console, in debug mode. */
  readonly consoleTail: () => string | undefined
}

/** @throws `ERR_BOOT_TIMEOUT`, `ERR_BOOT_AGENT`, `ERR_BOOT_DIED` */
export async function waitForHeartbeat(watch: BootWatch): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<'timeout'>((resolve) => {
    timer = setTimeout(() => {
      resolve('timeout')
    }, watch.timeoutMs)
  })
  try {
    const result = await Promise.race([watch.heartbeat, watch.firstEnd, timeout])
    if (result === 'timeout') throw timedOut(watch)
    if (result !== undefined) throw died(watch, result)
  } finally {
    clearTimeout(timer)
  }
}

function timedOut(watch: BootWatch): CloisterError {
  return new CloisterError(
    'ERR_BOOT_TIMEOUT',
    `no heartbeat within ${String(watch.timeoutMs)} ms${consolePart(watch)}`,
    { details: { timeoutMs: watch.timeoutMs, console: watch.consoleTail() } },
  )
}

function died(watch: BootWatch, cause: EndCause): CloisterError {
  const code = cause.first === 'agent' ? 'ERR_BOOT_AGENT' : 'ERR_BOOT_DIED'
  return new CloisterError(
    code,
    `the enclave ended before its heartbeat: ${cause.reason}${consolePart(watch)}`,
    {
      details: { ...cause, console: watch.consoleTail() },
    },
  )
}

function consolePart(watch: BootWatch): string {
  const tail = watch.consoleTail()
  return tail === undefined ? '' : `\nThe console's last lines:\n${tail}`
}
