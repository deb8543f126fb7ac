// How much memory a process has had at most. The kernel forgets that with the process, so it is looked at
// while the process lives.

import { readFileSync } from 'node:fs'

/** What is gained and lost in between is not seen when the process is killed. */
const LOOK_MS = 5000

/** Follows the peak resident set of a process (VmHWM of proc_pid_status(5)), until it is disposed of. */
export class PeakMemory implements AsyncDisposable {
  readonly #path: string
  readonly #timer: NodeJS.Timeout
  #bytes: number | undefined

  constructor(pid: number) {
    this.#path = `/proc/${String(pid)}/status`
    this.#timer = setInterval(() => {
      this.look()
    }, LOOK_MS).unref()
    this.look()
  }

  /** The peak as it was seen last; undefined when it never was. */
  get bytes(): number | undefined {
    return this.#bytes
  }

  /** Looks now: the process is about to end. */
  look(): void {
    try {
      const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(this.#path, 'utf8')) ?? []
      // A process that has ended and was not waited for has no memory.
      if (kib !== undefined) this.#bytes = Number(kib) * 1024
    } catch {
      // Gone, or hidden by the host's hidepid: what was seen before stays.
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    return Promise.resolve()
  }
}
