// How a person sees a build: a bar on a terminal, plain lines elsewhere, nothing but notices when it is
// to be quiet. All of it goes to standard error.

import type { Progress } from '../image/index.ts'
import { printProgress } from './print.ts'

const BAR_CELLS = 30
/** A bar that moves more often only flickers. */
const BAR_INTERVAL_MS = 100
/** A log wants a sign of life, not a line for each part. */
const LINE_INTERVAL_MS = 5000
const ERASE_LINE = '\r\u001b[K'

const LABELS = {
  unpack: 'Unpacking layers',
  pack: 'Packing the root file system',
  write: 'Writing the image',
} as const

/** Prints the progress of one build. When quiet, only notices are printed. */
export class BuildProgress {
  readonly #isQuiet: boolean
  readonly #isTerminal = process.stderr.isTTY
  #last = performance.now()
  #hasBar = false

  constructor(isQuiet: boolean) {
    this.#isQuiet = isQuiet
  }

  /** A line that opens or closes the build. */
  readonly say = (text: string): void => {
    if (!this.#isQuiet) this.#line(text)
  }

  readonly report = (progress: Progress): void => {
    if (progress.step === 'notice') this.#line(`Note: ${progress.text}.`)
    else if (this.#isQuiet) return
    else if (progress.step === 'pull') this.#line(`Pulling ${progress.what}...`)
    else if (progress.step === 'build') this.#line(`Building ${progress.what}...`)
    else this.#part(progress.step, progress.done, progress.total)
  }

  #part(step: keyof typeof LABELS, done: number, total: number): void {
    const now = performance.now()
    const interval = this.#isTerminal ? BAR_INTERVAL_MS : LINE_INTERVAL_MS
    if (now - this.#last < interval) return
    this.#last = now
    const share = total === 0 ? 1 : done / total
    const percent = `${String(Math.floor(share * 100)).padStart(3)} %`
    if (!this.#isTerminal) {
      printProgress(`${LABELS[step]}: ${percent.trim()}`)
      return
    }
    const filled = Math.round(share * BAR_CELLS)
    const bar = '#'.repeat(filled).padEnd(BAR_CELLS, '.')
    process.stderr.write(`${ERASE_LINE}${LABELS[step]} [${bar}] ${percent}`)
    this.#hasBar = true
  }

  #line(text: string): void {
    if (this.#hasBar) process.stderr.write(ERASE_LINE)
    this.#hasBar = false
    printProgress(text)
  }
}
