// Waiting for a sign of life: it comes, or the guest says why not, or a part dies, or time is up.
// Each of the four is told apart.

import { CloisterError } from '../../errors.ts'
import type { EndCause } from '../../enclaves/index.ts'

export interface BootWatch {
  /** Resolves when the sign came. */
  readonly awaited: Promise<undefined>
  /** What is awaited, for errors: `heartbeat`. */
  readonly what: string
  /** Resolves when any part ends before. */
  readonly firstEnd: Promise<EndCause>
  /** By `performance.now()`, ms. */
  readonly deadline: number
  /** How long the guest had in all, for errors. */
  readonly timeoutMs: number
  /** Why the guest will end, when its agent has said so already. */
  readonly foretold: () => EndCause | undefined
  /** Settles when the console of a machine that has ended is here as a whole. */
  readonly consoleDrained: () => Promise<void> | undefined
  /** The last lines of the console, in debug mode. */
  readonly consoleTail: () => string | undefined
}

/** @throws `ERR_BOOT_TIMEOUT`, `ERR_BOOT_AGENT`, `ERR_BOOT_DIED` */
export async function waitForGuest(watch: BootWatch): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<'timeout'>((resolve) => {
    timer = setTimeout(() => {
      resolve('timeout')
    }, watch.deadline - performance.now())
  })
  try {
    const result = await Promise.race([watch.awaited, watch.firstEnd, timeout])
    const cause = result === 'timeout' ? watch.foretold() : result
    if (cause !== undefined) {
      await watch.consoleDrained()
      throw died(watch, cause)
    }
    if (result === 'timeout') throw timedOut(watch)
  } finally {
    clearTimeout(timer)
  }
}

function timedOut(watch: BootWatch): CloisterError {
  return new CloisterError(
    'ERR_BOOT_TIMEOUT',
    `no ${watch.what} within ${String(watch.timeoutMs)} ms${consolePart(watch)}`,
    { details: { timeoutMs: watch.timeoutMs, console: watch.consoleTail() } },
  )
}

function died(watch: BootWatch, cause: EndCause): CloisterError {
  const code = cause.first === 'agent' ? 'ERR_BOOT_AGENT' : 'ERR_BOOT_DIED'
  return new CloisterError(
    code,
    `the enclave ended before its ${watch.what}: ${cause.reason}${consolePart(watch)}`,
    {
      details: { ...cause, console: watch.consoleTail() },
    },
  )
}

function consolePart(watch: BootWatch): string {
  const tail = watch.consoleTail()
  return tail === undefined ? '' : `\nThe console's last lines:\n${quoted(tail)}`
}

/** Lines of the guest's, each marked, so that none passes for one of ours. */
function quoted(lines: string): string {
  return lines.replace(/^/gm, '| ')
}
