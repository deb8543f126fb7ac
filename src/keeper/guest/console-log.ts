// The end of what a debug enclave wrote to its serial port, and live readers of the rest.

import { rmSync, writeFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { savedConsolePath } from '../../enclaves/index.ts'

/** How much is kept: the end. */
const KEPT_BYTES = 256 * 1024

/** A reader that lags this far behind is dropped, so that it cannot make the keeper grow. */
const READER_LAG_BYTES = 1024 * 1024
const LAG_NOTE = '\n[cloister: this reader was too slow; the rest of the console is left out]\n'

/** How long what an ended machine has written may take to arrive. */
const DRAIN_MS = 1000

/**
 * Keeps the last 256 KiB of a console and copies it to live readers. A reader more than 1 MiB
 * behind is disconnected.
 */
export class ConsoleLog {
  /** A ring: the byte at `n` of the whole console lies at `n % KEPT_BYTES`. */
  readonly #ring = Buffer.alloc(KEPT_BYTES)
  #total = 0
  readonly #readers = new Set<Writable>()
  readonly #ended: Promise<void>

  constructor(source: Readable) {
    source.on('data', (bytes: Buffer) => {
      this.#keep(bytes)
      for (const reader of this.#readers) this.#pass(reader, bytes)
    })
    this.#ended = new Promise((resolve) => source.once('end', resolve).once('close', resolve))
  }

  /** Settles when all that the machine wrote is here, or a second later; for a machine that has ended. */
  async drained(): Promise<void> {
    await Promise.race([this.#ended, sleep(DRAIN_MS, undefined, { ref: false })])
  }

  /** Sends what was kept, then everything that follows, until `reader` closes. */
  follow(reader: Writable): void {
    reader.write(this.#kept())
    this.#readers.add(reader)
    reader.once('close', () => this.#readers.delete(reader))
  }

  /** The last `lines` lines. */
  tail(lines: number): string {
    return this.#kept().toString('latin1').trimEnd().split('\n').slice(-lines).join('\n')
  }

  /**
   * Writes what was kept to `<directory>/console.log` and ends every reader. What cannot be written
   * as a whole takes no room.
   */
  save(directory: string): void {
    const path = savedConsolePath(directory)
    try {
      writeFileSync(path, this.#kept(), { mode: 0o600 })
    } catch (error) {
      rmSync(path, { recursive: true, force: true })
      throw error
    } finally {
      for (const reader of this.#readers) reader.end()
    }
  }

  #keep(bytes: Buffer): void {
    const kept = bytes.subarray(-KEPT_BYTES)
    const at = (this.#total + bytes.length - kept.length) % KEPT_BYTES
    const copied = kept.copy(this.#ring, at)
    kept.copy(this.#ring, 0, copied)
    this.#total += bytes.length
  }

  /** A copy, for the ring goes on. */
  #kept(): Buffer {
    if (this.#total <= KEPT_BYTES) return Buffer.from(this.#ring.subarray(0, this.#total))
    const at = this.#total % KEPT_BYTES
    return Buffer.concat([this.#ring.subarray(at), this.#ring.subarray(0, at)])
  }

  #pass(reader: Writable, bytes: Buffer): void {
    if (reader.writable && reader.writableLength <= READER_LAG_BYTES) {
      reader.write(bytes)
      return
    }
    this.#readers.delete(reader)
    if (reader.writable) reader.end(LAG_NOTE)
    else reader.destroy()
  }
}
