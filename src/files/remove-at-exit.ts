// What must not stay behind: removed when it is disposed of, and when the process exits before, as a command
// that is interrupted does (Ctrl-C).

import { rmSync } from 'node:fs'

/** An operation of another thread may still make a file in a directory that is being removed. */
const RETRIES = 5

/** Removes what is at `path` by then, a directory with its contents; nothing there is no error. */
export function removeAtExit(path: string): Disposable {
  const remove = (): void => {
    rmSync(path, { recursive: true, force: true, maxRetries: RETRIES })
  }
  process.once('exit', remove)
  return {
    [Symbol.dispose]: () => {
      process.off('exit', remove)
      remove()
    },
  }
}
