// What a keeper says before it can speak over its channel (Node itself failing, say): a file without
// a name, which is gone once the last process closes it.

import { closeSync, fstatSync, openSync, readSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'

/** How much of it is told: the end. */
const LAST_WORDS_BYTES = 4096

/**
 * A file for a keeper's standard error, of which the last 4096 bytes can be read back. Disposing of
 * it closes only this process's descriptor.
 */
export class KeeperStderr implements Disposable {
  /** For the keeper to inherit. */
  readonly fd: number

  /** @param directory - Private, see `openDirectories`. */
  constructor(directory: string) {
    const path = join(
      directory,
      `.keeper-${String(process.pid)}-${String(process.hrtime.bigint())}`,
    )
    this.fd = openSync(path, 'ax+', 0o600)
    unlinkSync(path)
  }

  /** The end of it; undefined when there is nothing. */
  lastWords(): string | undefined {
    const { size } = fstatSync(this.fd)
    const bytes = Buffer.alloc(Math.min(size, LAST_WORDS_BYTES))
    const count = readSync(this.fd, bytes, 0, bytes.length, size - bytes.length)
    return bytes.toString('utf8', 0, count).trim() || undefined
  }

  [Symbol.dispose](): void {
    closeSync(this.fd)
  }
}
