// The registry: one directory per enclave below `<runtime>/enclaves`, and the names in use below
// `<runtime>/names`. Two enclaves that start at the same moment cannot get the same one.
//
// `settle` ends and removes what a killed keeper left, and the record says so. Ended enclaves keep only
// their record, their journal and their saved console. Any number of processes may read at once, so
// what one finds gone another has settled.

import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CloisterError } from '../errors.ts'
import { identifyProcess, isRunning, killProcess } from '../subprocess/index.ts'
import { CONSOLE_FILE, JOURNAL_FILE } from './enclave-paths.ts'
import { Names } from './names.ts'
import {
  endedRecord,
  isAlive,
  processesOf,
  readRecord,
  RECORD_FILE,
  recordWriter,
  writeRecord,
  type AliveRecord,
  type EnclaveEnd,
  type EnclaveRecord,
  type StartingRecord,
} from './record.ts'

/** How many ended enclaves are remembered. */
const KEPT_RECORDS = 20

/** An enclave's directory gets its record at once; one without for so long was given up. */
const HALF_MADE_MS = 60_000

const KEPT_FILES = new Set([RECORD_FILE, CONSOLE_FILE, JOURNAL_FILE])

/** Not what another process is just writing: its record is about to be renamed. */
function isKept(file: string): boolean {
  if (KEPT_FILES.has(file)) return true
  const writer = recordWriter(file)
  return writer !== undefined && identifyProcess(writer) !== undefined
}

export class Registry {
  readonly #enclaves: string
  readonly #names: Names

  /** @param runtime - A private directory, see `openDirectories`. */
  constructor(runtime: string) {
    this.#enclaves = join(runtime, 'enclaves')
    mkdirSync(this.#enclaves, { recursive: true, mode: 0o700 })
    this.#names = new Names(join(runtime, 'names'))
  }

  /**
   * Makes the directory of a new enclave, and takes the name that its record wants, or `name_1`,
   * `name_2`, … when it is in use, as nitro-cli does. The record is there before the name is taken:
   * a process killed in between leaves no name that seems to be in use.
   *
   * @returns The record as written, with the name it got.
   */
  claim(wanted: StartingRecord): StartingRecord {
    this.settle()
    const directory = this.directory(wanted.id)
    mkdirSync(directory, { mode: 0o700 })
    try {
      writeRecord(directory, wanted)
      const { description } = wanted
      const name = this.#names.reserve(description.name, wanted.id, join(directory, 'name'))
      if (name === description.name) return wanted
      const record = { ...wanted, description: { ...description, name } }
      writeRecord(directory, record)
      return record
    } catch (error) {
      rmSync(directory, { recursive: true, force: true })
      throw error
    }
  }

  directory(id: string): string {
    return join(this.#enclaves, id)
  }

  /**
   * Ends what killed keepers left behind, and records that; removes what was never whole. `now` is in
   * ms since the epoch.
   */
  settle(now: number = Date.now()): void {
    for (const id of readdirSync(this.#enclaves)) {
      const record = this.#read(id)
      if (record === undefined) this.#removeHalfMade(id, now)
      else if (!(record instanceof CloisterError)) this.#settleOne(record)
    }
    this.#releaseOrphanedNames()
  }

  /**
   * Every enclave, the oldest first, ended ones included. One whose keeper was killed has ended,
   * settled or not. Those with a damaged record are left out, see {@link Registry.damaged}.
   */
  list(): readonly EnclaveRecord[] {
    return readdirSync(this.#enclaves)
      .map((id) => this.#read(id))
      .flatMap((record) => (record === undefined || record instanceof CloisterError ? [] : record))
      .map((record) => (isOrphaned(record) ? endedRecord(record, killedKeeper(record)) : record))
      .toSorted((a, b) => a.createdAt.localeCompare(b.createdAt))
  }

  /** One `ERR_KEEPER_RECORD` for each enclave whose record cannot be read. */
  damaged(): readonly CloisterError[] {
    const found = readdirSync(this.#enclaves).map((id) => this.#read(id))
    return found.filter((record) => record instanceof CloisterError)
  }

  /**
   * One enclave by id or name; a running one before an ended one, the newest of those.
   *
   * @throws `ERR_KEEPER_NO_SUCH_ENCLAVE`, `ERR_KEEPER_RECORD`
   */
  find(idOrName: string): EnclaveRecord {
    this.settle()
    const matches = this.list().filter(
      ({ id, description }) => id === idOrName || description.name === idOrName,
    )
    const found = matches.findLast(isAlive) ?? matches.at(-1)
    if (found !== undefined) return found
    const record = this.#read(idOrName)
    if (record instanceof CloisterError) throw record
    throw new CloisterError(
      'ERR_KEEPER_NO_SUCH_ENCLAVE',
      `no enclave has the id or name ${idOrName}`,
      {
        details: { enclave: idOrName },
      },
    )
  }

  /** Records the end of an enclave and removes everything else of it. */
  finish(record: AliveRecord, end: EnclaveEnd): void {
    const finished = endedRecord(record, end)
    const directory = this.directory(record.id)
    for (const file of namesIn(directory)) {
      if (!isKept(file)) rmSync(join(directory, file), { recursive: true, force: true })
    }
    try {
      if (existsSync(directory)) writeRecord(directory, finished)
    } finally {
      this.#names.release(record.description.name, record.id)
      this.#forgetOldest()
    }
  }

  /** Forgets an enclave: its directory and its name. */
  remove(record: Pick<EnclaveRecord, 'id' | 'description'>): void {
    rmSync(this.directory(record.id), { recursive: true, force: true })
    this.#names.release(record.description.name, record.id)
  }

  #read(id: string): EnclaveRecord | CloisterError | undefined {
    try {
      return readRecord(this.directory(basename(id)))
    } catch (error) {
      if (error instanceof CloisterError) return error
      throw error
    }
  }

  #settleOne(record: EnclaveRecord): void {
    if (!isOrphaned(record)) return
    for (const child of processesOf(record)) killProcess(child)
    // The keeper may have written its last record between the two looks.
    const latest = this.#read(record.id)
    if (latest === undefined || latest instanceof CloisterError || !isAlive(latest)) return
    try {
      this.finish(latest, killedKeeper(latest))
    } catch {
      // A full disk: `list` tells the end all the same, and the next `settle` tries again.
    }
  }

  #removeHalfMade(id: string, now: number): void {
    const directory = this.directory(id)
    const madeAt = statSync(directory, { throwIfNoEntry: false })?.mtimeMs
    if (madeAt !== undefined && now - madeAt > HALF_MADE_MS) {
      rmSync(directory, { recursive: true, force: true })
    }
  }

  /** A record exists before its name does, so a name without a living record is nobody's. */
  #releaseOrphanedNames(): void {
    for (const { name, id } of this.#names.list()) {
      const record = id === undefined ? undefined : this.#read(id)
      if (record instanceof CloisterError) continue
      if (record === undefined || !isAlive(record)) this.#names.release(name, id)
    }
  }

  #forgetOldest(): void {
    const ended = this.list()
      .flatMap((record) => (isAlive(record) ? [] : record))
      .toSorted((a, b) => b.end.at.localeCompare(a.end.at))
    for (const record of ended.slice(KEPT_RECORDS)) this.remove(record)
  }
}

/** Whether its keeper was killed before it could record an end. */
function isOrphaned(record: EnclaveRecord): record is AliveRecord {
  return isAlive(record) && !isRunning(record.keeper)
}

function killedKeeper({ createdAt }: AliveRecord): EnclaveEnd {
  return {
    at: new Date().toISOString(),
    first: 'keeper',
    reason: 'the keeper was killed or crashed; everything it had started went with it',
    livedMs: Date.now() - Date.parse(createdAt),
  }
}

/** Nothing when the directory is gone. */
function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
