// What must not stay behind when a command fails or is interrupted (Ctrl-C ends by process.exit).

import { rmSync } from 'node:fs'

/** Another thread may still make a file in a directory that is being removed. */
const RETRIES = 5

/**
 * A file, or a directory with its contents, that is removed when it is disposed of and when the process exits before.
 * What cannot be removed stays: why it could not must not hide why the command failed.
 */
export class Leftover implements Disposable {
  readonly #remove: () => void
  #isThere = false

  constructor(path: string, kind: 'file' | 'directory') {
    this.#remove = () => {
      try {
        rmSync(path, { recursive: kind === 'directory', force: true, maxRetries: RETRIES })
      } catch {
        // See above.
      }
    }
  }

  /** To be called in the same turn of the event loop that makes it: a signal may end the process after each. */
  made(): void {
    this.#isThere = true
    process.once('exit', this.#remove)
  }

  /** It has its own name now: whatever is at the path is not ours any more. */
  moved(): void {
    this.#isThere = false
    process.off('exit', this.#remove)
  }

  [Symbol.dispose](): void {
    if (!this.#isThere) return
    this.moved()
    this.#remove()
  }
}
