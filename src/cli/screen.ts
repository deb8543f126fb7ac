// A terminal that a command draws on until q, Ctrl-C or a signal: the alternate screen of xterm and its
// like, which leaves what was there before untouched.

import { setTimeout as sleep } from 'node:timers/promises'
import { escapeControls } from './print.ts'

const ENTER = '\x1b[?1049h\x1b[?25l'
const LEAVE = '\x1b[?25h\x1b[?1049l'
const HOME = '\x1b[H'
const TO_LINE_END = '\x1b[K'
const TO_SCREEN_END = '\x1b[J'
const CTRL_C = '\x03'

/** Whether both keys and drawings have a terminal. */
export function isTerminal(): boolean {
  return process.stdin.isTTY && process.stdout.isTTY && process.env['TERM'] !== 'dumb'
}

/** Disposing of it gives the terminal back; so does the end of the process. */
export class Screen implements Disposable {
  readonly #closing = new AbortController()
  readonly #leave = (): void => {
    process.stdout.write(LEAVE)
    process.stdin.setRawMode(false)
  }
  #lines: (columns: number) => readonly string[] = () => []
  readonly #redraw = (): void => {
    this.draw(this.#lines)
  }

  constructor() {
    process.once('exit', this.#leave)
    process.stdin.setRawMode(true)
    process.stdin.on('data', (keys: Buffer) => {
      const text = keys.toString('latin1')
      if (text.includes('q') || text.includes(CTRL_C)) this.#closing.abort()
    })
    process.stdin.once('end', () => {
      this.#closing.abort()
    })
    process.stdout.on('resize', this.#redraw)
    process.stdout.write(ENTER)
  }

  /** Whether it is to be closed; settles at once then, else after so long. */
  async closesWithin(ms: number): Promise<boolean> {
    const { signal } = this.#closing
    await sleep(ms, undefined, { signal }).catch(() => undefined)
    return signal.aborted
  }

  /** Lines that do not fit are left out. Control characters lose their power. */
  draw(lines: (columns: number) => readonly string[]): void {
    this.#lines = lines
    const { columns, rows } = process.stdout
    const shown = lines(columns)
      .slice(0, rows)
      .map((line) => escapeControls(line) + TO_LINE_END)
    process.stdout.write(`${HOME}${shown.join('\r\n')}${TO_SCREEN_END}`)
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#leave)
    process.stdout.off('resize', this.#redraw)
    process.stdin.removeAllListeners('data').pause()
    this.#leave()
  }
}
