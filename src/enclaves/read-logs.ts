// The log of an enclave, as its keeper wrote it: the older file, then the newer one, then what follows.

import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { CloisterError } from '../errors.ts'
import { logPath, olderLogPath } from './enclave-paths.ts'
import { decodeLogEntry, type LogEntry } from './log-entry.ts'
import { isAlive, type EnclaveRecord } from './record.ts'
import type { Registry } from './registry.ts'
import { shellWord } from '../shell-word.ts'

const CHUNK_BYTES = 64 * 1024
/** How often it is looked for more. */
const LOOK_MS = 200

export interface ReadLogsOptions {
  /** Go on with what comes, until the enclave has ended. */
  readonly follow?: boolean
  /** Leaves out what came earlier: ms since 1970. */
  readonly sinceMs?: number
}

/**
 * @param record - Of an enclave, also of one that has ended.
 * @throws `ERR_KEEPER_NO_LOGS`
 */
export async function* readLogs(
  registry: Registry,
  { id, description }: EnclaveRecord,
  { follow = false, sinceMs = 0 }: ReadLogsOptions = {},
): AsyncGenerator<LogEntry> {
  const directory = registry.directory(id)
  if (!existsSync(logPath(directory))) throw noLogs(description.name, description.debug)
  const isRunning = (): boolean => follow && isThere(registry, id)
  for await (const line of lines(directory, isRunning)) {
    const entry = decodeLogEntry(line)
    if (entry !== undefined && Date.parse(entry.time) >= sinceMs) yield entry
  }
}

function isThere(registry: Registry, id: string): boolean {
  try {
    return isAlive(registry.find(id))
  } catch {
    return false // forgotten meanwhile
  }
}

async function* lines(directory: string, isRunning: () => boolean): AsyncGenerator<string> {
  const path = logPath(directory)
  let current = new LogReader(path)
  try {
    yield* olderLines(directory, current)
    for (;;) {
      const mayGrow = isRunning()
      yield* current.more()
      if (!current.isAt(path)) {
        // What was written to it before it was put aside.
        yield* current.more()
        current[Symbol.dispose]()
        current = new LogReader(path)
      } else if (mayGrow) await sleep(LOOK_MS)
      else return
    }
  } finally {
    current[Symbol.dispose]()
  }
}

/** Of the file before `current`, unless `current` has been put there since it was opened. */
function* olderLines(directory: string, current: LogReader): Generator<string> {
  const path = olderLogPath(directory)
  if (!existsSync(path) || current.isAt(path)) return
  using older = new LogReader(path)
  yield* older.more()
}

class LogReader implements Disposable {
  readonly #fd: number
  #rest = ''
  readonly #decoder = new TextDecoder()

  constructor(path: string) {
    this.#fd = openSync(path, 'r')
  }

  /** The whole lines that have been added. */
  *more(): Generator<string> {
    const chunk = Buffer.alloc(CHUNK_BYTES)
    for (;;) {
      const length = readSync(this.#fd, chunk)
      if (length === 0) return
      const parts = (
        this.#rest + this.#decoder.decode(chunk.subarray(0, length), { stream: true })
      ).split('\n')
      this.#rest = parts.pop() ?? ''
      yield* parts
    }
  }

  /** Whether the path names this file, or nothing for the moment in which another takes its place. */
  isAt(path: string): boolean {
    const there = statSync(path, { throwIfNoEntry: false })
    return there === undefined || there.ino === fstatSync(this.#fd).ino
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}

function noLogs(name: string, debug: boolean): CloisterError {
  return debug
    ? new CloisterError(
        'ERR_KEEPER_NO_LOGS',
        `${name} runs in debug mode, and has a console instead`,
        {
          hint: `Run \`cloister console --enclave-name ${shellWord(name)}\`.`,
        },
      )
    : new CloisterError('ERR_KEEPER_NO_LOGS', `the manifest of ${name} declares no log lines`)
}
