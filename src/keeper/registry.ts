// The registry: one directory per enclave below `<runtime>/enclaves`, and one symbolic link per
// name in use below `<runtime>/names`. Making a directory or a link is atomic, so two enclaves that
// start at the same moment cannot get the same one.
//
// Every read first settles enclaves whose keeper was killed: what it left is ended and removed, and
// the record says so. Ended enclaves keep nothing but their record, their journal and their saved console.

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { CloisterError } from '../errors.ts'
import { isRunning, killProcess } from '../process/index.ts'
import { JOURNAL_FILE } from './journal.ts'
import { readRecord, writeRecord, type EnclaveEnd, type EnclaveRecord } from './record.ts'

/** How many ended enclaves are remembered. */
const KEPT_RECORDS = 20

/** An enclave's directory gets its record at once; one without for so long was given up. */
const HALF_MADE_MS = 60_000

const KEPT_FILES = new Set(['record.json', 'console.log', JOURNAL_FILE])

export class Registry {
  readonly #enclaves: string
  readonly #names: string

  /** @param runtime - A private directory, see `openDirectories`. */
  constructor(runtime: string) {
    this.#enclaves = join(runtime, 'enclaves')
    this.#names = join(runtime, 'names')
    mkdirSync(this.#enclaves, { recursive: true, mode: 0o700 })
    mkdirSync(this.#names, { recursive: true, mode: 0o700 })
  }

  /** Makes the directory of a new enclave and returns its path. */
  create(id: string): string {
    const directory = this.directory(id)
    mkdirSync(directory, { mode: 0o700 })
    return directory
  }

  directory(id: string): string {
    return join(this.#enclaves, id)
  }

  /** Takes `wanted`, or `wanted_1`, `wanted_2`, … when it is in use, as nitro-cli does. */
  reserveName(wanted: string, id: string): string {
    this.list()
    for (let suffix = 0; ; suffix++) {
      const name = suffix === 0 ? wanted : `${wanted}_${String(suffix)}`
      if (this.#tryReserve(name, id)) return name
    }
  }

  /** Every enclave, the oldest first, ended ones included. `now` is in ms since the epoch. */
  list(now: number = Date.now()): readonly EnclaveRecord[] {
    const records: EnclaveRecord[] = []
    for (const id of readdirSync(this.#enclaves)) {
      const record = this.#settle(id)
      if (record === undefined) this.#removeHalfMade(id, now)
      else records.push(record)
    }
    this.#releaseOrphanedNames()
    return records.toSorted((a, b) => a.createdAt.localeCompare(b.createdAt))
  }

  /**
   * One enclave by id or name; a running one before an ended one, the newest of those.
   *
   * @throws `ERR_KEEPER_NO_SUCH_ENCLAVE`
   */
  find(idOrName: string): EnclaveRecord {
    const matches = this.list().filter(({ id, name }) => id === idOrName || name === idOrName)
    const found = matches.findLast(isAlive) ?? matches.at(-1)
    if (found !== undefined) return found
    throw new CloisterError('ERR_KEEPER_NO_SUCH_ENCLAVE', `there is no enclave ${idOrName}`, {
      details: { enclave: idOrName },
    })
  }

  /** Records the end of an enclave and removes everything else of it. */
  finish(record: EnclaveRecord, end: EnclaveEnd): EnclaveRecord {
    const finished: EnclaveRecord = { ...record, state: 'TERMINATED', processes: [], end }
    const directory = this.directory(record.id)
    for (const file of readdirSync(directory)) {
      if (!KEPT_FILES.has(file)) rmSync(join(directory, file), { recursive: true, force: true })
    }
    writeRecord(directory, finished)
    this.#releaseName(record)
    this.#forgetOldest()
    return finished
  }

  /** Forgets an enclave: its directory and its name. */
  remove(record: Pick<EnclaveRecord, 'id' | 'name'>): void {
    rmSync(this.directory(record.id), { recursive: true, force: true })
    this.#releaseName(record)
  }

  #settle(id: string): EnclaveRecord | undefined {
    const record = readRecord(this.directory(id))
    if (record === undefined || !isAlive(record) || isRunning(record.keeper)) return record
    for (const child of record.processes) killProcess(child)
    return this.finish(record, {
      at: new Date().toISOString(),
      first: 'keeper',
      reason: 'the keeper was killed or crashed; everything it had started went with it',
      livedMs: Date.now() - Date.parse(record.createdAt),
    })
  }

  #removeHalfMade(id: string, now: number): void {
    const directory = this.directory(id)
    const madeAt = statSync(directory, { throwIfNoEntry: false })?.mtimeMs
    if (madeAt !== undefined && now - madeAt > HALF_MADE_MS) {
      rmSync(directory, { recursive: true, force: true })
    }
  }

  #tryReserve(name: string, id: string): boolean {
    try {
      symlinkSync(id, join(this.#names, name))
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    }
  }

  /** A directory exists before its name does, so a name without directory is nobody's. */
  #releaseOrphanedNames(): void {
    for (const name of readdirSync(this.#names)) {
      const id = readTarget(join(this.#names, name))
      if (id !== undefined && !existsSync(this.directory(id))) this.#releaseName({ id, name })
    }
  }

  #releaseName({ id, name }: Pick<EnclaveRecord, 'id' | 'name'>): void {
    const link = join(this.#names, name)
    if (readTarget(link) === id) unlinkSync(link)
  }

  #forgetOldest(): void {
    const ended = readdirSync(this.#enclaves)
      .map((id) => readRecord(this.directory(id)))
      .filter((record) => record?.end !== undefined)
      .toSorted((a, b) => (b?.end?.at ?? '').localeCompare(a?.end?.at ?? ''))
    for (const record of ended.slice(KEPT_RECORDS)) if (record !== undefined) this.remove(record)
  }
}

/** Whether the enclave has not ended. */
export function isAlive(record: EnclaveRecord): boolean {
  return record.state !== 'TERMINATED'
}

function readTarget(link: string): string | undefined {
  try {
    return readlinkSync(link)
  } catch {
    return undefined
  }
}
