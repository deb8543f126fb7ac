// SHA-384 on a thread of its own. An image's application is hashed twice, into PCR0 and into PCR2: the
// second hash is computed beside the first one.

import { Worker } from 'node:worker_threads'

const SLOT_BYTES = 1024 * 1024
const SLOTS = 8

/** Bytes are handed over in shared memory; the thread says which slot it has read. */
const PROGRAM = `
const { createHash } = require('node:crypto')
const { parentPort, workerData } = require('node:worker_threads')
const hash = createHash('sha384')
parentPort.on('message', ({ offset, length }) => {
  if (length === 0) parentPort.postMessage(hash.digest())
  else {
    hash.update(workerData.subarray(offset, offset + length))
    parentPort.postMessage(offset)
  }
})`

/** A hash whose bytes may be changed as soon as they were pushed. Disposing of it ends the thread. */
export class ParallelHash implements Disposable {
  readonly #memory = new Uint8Array(new SharedArrayBuffer(SLOTS * SLOT_BYTES))
  readonly #worker = new Worker(PROGRAM, { eval: true, workerData: this.#memory })
  readonly #free = Array.from({ length: SLOTS }, (_, index) => index * SLOT_BYTES)
  #digest: Uint8Array | undefined
  #failure: Error | undefined
  /** Continues who waits for the thread. */
  #wake: () => void = () => undefined

  constructor() {
    this.#worker.on('message', (message: number | Uint8Array) => {
      if (typeof message === 'number') this.#free.push(message)
      else this.#digest = new Uint8Array(message)
      this.#wake()
    })
    this.#worker.on('error', (error) => {
      this.#failure = error
      this.#wake()
    })
  }

  /** Resolves when the bytes are taken. */
  async push(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; done += SLOT_BYTES) {
      const part = bytes.subarray(done, done + SLOT_BYTES)
      const offset = this.#free.shift() ?? (await this.#awaited(() => this.#free.shift()))
      this.#memory.set(part, offset)
      this.#worker.postMessage({ offset, length: part.length })
    }
  }

  /** The 48-byte digest of all that was pushed. */
  digest(): Promise<Uint8Array> {
    this.#worker.postMessage({ offset: 0, length: 0 })
    return this.#awaited(() => this.#digest)
  }

  async #awaited<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      const found = look()
      if (found !== undefined) return found
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  [Symbol.dispose](): void {
    void this.#worker.terminate()
  }
}
