// A child process with a known end: who it is, when and how it ended, and what it said last.

import { spawn, type ChildProcess, type IOType } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Duplex, Stream } from 'node:stream'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { CloisterError, reasonOf } from '../errors.ts'
import { confine, type Confinement } from './confinement.ts'
import { findProgram, PROGRAM_PATH } from './find-program.ts'

/** How much of a process's standard error is kept: its end. */
const LAST_WORDS_BYTES = 4096
/** In place of the last words of a process that had none. */
export const NO_WORDS = 'no output'
const FINAL_WORDS_MS = 1000

/** The exit status or the signal that ended a process; the other one is null. */
export interface ProcessEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** What a confined process is called in errors and records. */
export type PartName =
  'QEMU' | 'swtpm' | 'vsock card' | 'NSM card' | 'network card' | 'network dialler'

export interface ProcessOptions {
  readonly name: PartName
  readonly command: readonly string[]
  readonly confinement: Confinement
  readonly cwd?: string
  /** What its standard input holds; nothing by default. */
  readonly stdin?: Uint8Array
  /** What the child gets as descriptor 3 and up. `'pipe'` makes a unix socket pair. */
  readonly extraStdio?: readonly (IOType | number | Stream)[]
}

/** A child process; disposing of it sends SIGKILL and waits for its end. */
export class ManagedProcess implements AsyncDisposable {
  readonly name: PartName
  readonly pid: number
  /** Settles once, when the process has ended; never rejects. */
  readonly ended: Promise<ProcessEnd>
  /** Settles when it has ended and all of its last words are there; never rejects. */
  readonly closed: Promise<void>
  readonly #child: ChildProcess
  #stderr = ''

  constructor(name: PartName, child: ChildProcess) {
    this.name = name
    this.pid = child.pid ?? -1
    this.#child = child
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        resolve({ code, signal })
      })
    })
    this.closed = new Promise((resolve) => {
      child.once('close', () => {
        resolve()
      })
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-LAST_WORDS_BYTES)
    })
  }

  /** Our end of the child's descriptor `fd`, which was a `'pipe'`. */
  channel(fd: number): Duplex {
    const stream = this.#child.stdio[fd] as Socket | null | undefined
    if (stream === null || stream === undefined)
      throw new RangeError(`fd ${String(fd)} is not a pipe`)
    return stream
  }

  /** The end of what it wrote to standard error. */
  lastWords(): string {
    return this.#stderr.trim() || NO_WORDS
  }

  /** Its last words, once it has closed its standard error; waits for that at most a second. */
  async finalWords(): Promise<string> {
    await Promise.race([this.closed, sleep(FINAL_WORDS_MS, undefined, { ref: false })])
    return this.lastWords()
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill()
    await this.ended
  }
}

/**
 * Starts a program confined (see {@link confine}).
 *
 * @throws `ERR_PROCESS_SPAWN` when there is no such program, or it cannot be started.
 */
export async function startProcess(options: ProcessOptions): Promise<ManagedProcess> {
  const { stdin } = options
  findProgram(options.command[0] ?? '', options.cwd)
  const [program, ...args] = confine(options.command, options.confinement)
  const child = spawn(program ?? '', args, {
    stdio: [
      stdin === undefined ? 'ignore' : 'pipe',
      'ignore',
      'pipe',
      ...(options.extraStdio ?? []),
    ],
    env: { PATH: PROGRAM_PATH, LC_ALL: 'C' },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  try {
    await once(child, 'spawn')
  } catch (cause) {
    throw new CloisterError(
      'ERR_PROCESS_SPAWN',
      `cannot start the ${options.name}: ${reasonOf(cause)}`,
      { cause, details: { command: options.command.join(' ') } },
    )
  }
  child.stdin?.on('error', () => child.stdin?.destroy())
  child.stdin?.end(stdin)
  return new ManagedProcess(options.name, child)
}
