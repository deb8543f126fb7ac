import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A temporary directory that goes when it is disposed of, at the latest with this process. */
export class Scratch implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'cloister-lab-'))
  readonly #remove = (): void => {
    rmSync(this.directory, { recursive: true, force: true })
  }

  constructor() {
    process.once('exit', this.#remove)
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#remove)
    this.#remove()
  }
}
