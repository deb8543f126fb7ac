// The end of what a debug enclave wrote to its serial port, and live readers of the rest.

import { rmSync, writeFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { savedConsolePath } from '../../enclaves/index.ts'

/** How much is kept: the end. */
const KEPT_BYTES = 256 * 1024

/** A reader that lags this far behind is dropped, so that it cannot make the keeper grow. */
const READER_LAG_BYTES = 1024 * 1024

export class ConsoleLog {
  #kept = Buffer.alloc(0)
  readonly #readers = new Set<Writable>()

  constructor(source: Readable) {
    source.on('data', (bytes: Buffer) => {
      this.#kept = Buffer.concat([this.#kept, bytes]).subarray(-KEPT_BYTES)
      for (const reader of this.#readers) this.#pass(reader, bytes)
    })
  }

  /** Sends what was kept, then everything that follows, until `reader` closes. */
  follow(reader: Writable): void {
    reader.write(this.#kept)
    this.#readers.add(reader)
    reader.once('close', () => this.#readers.delete(reader))
  }

  /** The last `lines` lines. */
  tail(lines: number): string {
    return this.#kept.toString('latin1').trimEnd().split('\n').slice(-lines).join('\n')
  }

  /**
   * Writes what was kept to `<directory>/console.log` and ends every reader. What cannot be written
   * as a whole takes no room.
   */
  save(directory: string): void {
    const path = savedConsolePath(directory)
    try {
      writeFileSync(path, this.#kept, { mode: 0o600 })
    } catch (error) {
      rmSync(path, { recursive: true, force: true })
      throw error
    } finally {
      for (const reader of this.#readers) reader.end()
    }
  }

  #pass(reader: Writable, bytes: Buffer): void {
    const isGone = !reader.writable || reader.writableLength > READER_LAG_BYTES
    if (isGone) reader.destroy()
    else reader.write(bytes)
  }
}
