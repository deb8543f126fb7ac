// An enclave's log on disk: a file and the one before it, each bounded. A full disk costs lines, not the
// enclave.

import { closeSync, openSync, renameSync, writeSync } from 'node:fs'
import { encodeLogEntry, logPath, olderLogPath, type LogEntry } from '../../enclaves/index.ts'

/** Twice as much is kept for each enclave; the directory may be in memory. */
const MAX_FILE_BYTES = 1024 * 1024

/**
 * Writes an enclave's log into two files of at most 1 MiB each. `write` never throws: entries that
 * cannot be written are counted, and a later entry says how many were dropped.
 */
export class LogFile implements AsyncDisposable {
  readonly #directory: string
  #fd: number
  #size = 0
  #unwritten = 0
  #isTorn = false

  constructor(directory: string) {
    this.#directory = directory
    this.#fd = openSync(logPath(directory), 'a', 0o600)
  }

  write(entry: LogEntry): void {
    if (this.#unwritten > 0 && this.#append({ time: entry.time, dropped: this.#unwritten }))
      this.#unwritten = 0
    if (!this.#append(entry)) this.#unwritten += 1
  }

  #append(entry: LogEntry): boolean {
    // After a line that a full disk cut short, the next one is on a line of its own.
    const bytes = Buffer.from((this.#isTorn ? '\n' : '') + encodeLogEntry(entry))
    try {
      if (this.#size + bytes.length > MAX_FILE_BYTES) this.#rotate()
      const written = writeSync(this.#fd, bytes)
      this.#size += written
      this.#isTorn = written < bytes.length
      return !this.#isTorn
    } catch {
      return false
    }
  }

  #rotate(): void {
    const path = logPath(this.#directory)
    renameSync(path, olderLogPath(this.#directory))
    const next = openSync(path, 'a', 0o600)
    closeSync(this.#fd)
    this.#fd = next
    this.#size = 0
    this.#isTorn = false
  }

  [Symbol.asyncDispose](): Promise<void> {
    closeSync(this.#fd)
    this.#fd = -1 // what still comes is not written
    return Promise.resolve()
  }
}
