// The registry: one directory per enclave below `<runtime>/enclaves`, the names in use below
// `<runtime>/names`, and the CIDs below `<runtime>/cids`. Two enclaves that start at the same moment
// cannot get the same one.
//
// `settle` ends and removes what a killed keeper left, and the record says so. Ended enclaves keep only
// their record, their journal and their saved console. Any number of processes may read at once, so
// what one finds gone another has settled.

import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { removeGroups } from '../cgroup/index.ts'
import { CloisterError } from '../errors.ts'
import { identifyProcess, isRunning, killProcess } from '../subprocess/index.ts'
import { CONSOLE_FILE, JOURNAL_FILE, LOG_FILE, OLDER_LOG_FILE } from './enclave-paths.ts'
import { Names } from './names.ts'
import {
  controlGroupsOf,
  endedRecord,
  endNow,
  isAlive,
  processesOf,
  readRecord,
  RECORD_FILE,
  recordWriter,
  writeRecord,
  type AliveRecord,
  type EnclaveEnd,
  type EndCause,
  type EndedRecord,
  type EnclaveRecord,
  type StartingRecord,
} from './record.ts'

/** How many ended enclaves are remembered. */
const KEPT_RECORDS = 20

/** An enclave's directory gets its record at once; one that has had none for this long was given up. */
const HALF_MADE_MS = 60_000

const KILLED_KEEPER: EndCause = {
  first: 'keeper',
  reason: 'the keeper was killed or crashed; everything it had started went with it',
}

const KEPT_FILES = new Set([RECORD_FILE, CONSOLE_FILE, JOURNAL_FILE, LOG_FILE, OLDER_LOG_FILE])

/** Not what another process is just writing: its record is about to be renamed. */
function isKept(file: string): boolean {
  if (KEPT_FILES.has(file)) return true
  const writer = recordWriter(file)
  return writer !== undefined && identifyProcess(writer) !== undefined
}

/** Claims, finds, settles and forgets the enclaves of one runtime directory. */
export class Registry {
  readonly #enclaves: string
  readonly #names: Names
  readonly #cids: Names

  /** @param runtime - A private directory, see `openDirectories`. */
  constructor(runtime: string) {
    this.#enclaves = join(runtime, 'enclaves')
    mkdirSync(this.#enclaves, { recursive: true, mode: 0o700 })
    this.#names = new Names(join(runtime, 'names'))
    this.#cids = new Names(join(runtime, 'cids'))
  }

  /**
   * Makes the directory of a new enclave, and takes the name that its record wants, or `name_1`,
   * `name_2`, … when it is in use, as nitro-cli does, and its CID, a free one where that is 0. The record
   * is there before they are taken: a process killed in between leaves nothing that seems to be in use.
   *
   * @returns The record as written, with the name and the CID it got.
   * @throws `ERR_KEEPER_CID` when another enclave that has not ended has the CID.
   */
  claim(wanted: StartingRecord): StartingRecord {
    this.settle()
    const { id, description } = wanted
    const directory = this.directory(id)
    mkdirSync(directory, { mode: 0o700 })
    try {
      writeRecord(directory, wanted)
      const staging = join(directory, 'claim')
      const cid = this.#cids.reserve(cidCandidates(description.cid), id, staging)
      if (cid === undefined) throw cidInUse(description.cid)
      const name = this.#names.reserve(nameCandidates(description.name), id, staging)
      const got = { cid: Number(cid), name: name ?? description.name }
      const record = { ...wanted, description: { ...description, ...got } }
      writeRecord(directory, record)
      return record
    } catch (error) {
      rmSync(directory, { recursive: true, force: true })
      throw error
    }
  }

  /**
   * Puts the record of an enclave into the registry that takes over the name and the CID of another one,
   * which is about to be finished. Nobody else can get them in between.
   *
   * @param next - With the name and the CID of `old`.
   */
  succeed(old: AliveRecord, next: StartingRecord): void {
    const directory = this.directory(next.id)
    mkdirSync(directory, { mode: 0o700 })
    try {
      writeRecord(directory, next)
      this.#names.pass(old.description.name, old.id, next.id)
      this.#cids.pass(String(old.description.cid), old.id, next.id)
    } catch (error) {
      this.remove(next)
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
    this.#releaseOrphans(this.#names)
    this.#releaseOrphans(this.#cids)
  }

  /**
   * Every enclave, the oldest first, ended ones included. One whose keeper was killed has ended,
   * settled or not. Those with a damaged record are left out, see {@link Registry.damaged}.
   */
  list(): readonly EnclaveRecord[] {
    return readdirSync(this.#enclaves)
      .map((id) => this.#read(id))
      .flatMap((record) => (record === undefined || record instanceof CloisterError ? [] : record))
      .map((record) => (isOrphaned(record) ? this.#ended(record) : record))
      .toSorted((a, b) => a.createdAt.localeCompare(b.createdAt))
  }

  /** How an enclave has ended whose keeper is gone: it may have recorded that between the two looks. */
  #ended(record: AliveRecord): EndedRecord {
    const latest = this.#read(record.id)
    const isRecorded = latest !== undefined && !(latest instanceof CloisterError)
    if (isRecorded && !isAlive(latest)) return latest
    return endedRecord(record, endNow(record, KILLED_KEEPER))
  }

  /** The control groups of an enclave whose keeper was killed, until {@link settle} has removed them. */
  groupsLeftBy(id: string): readonly string[] {
    const record = this.#read(id)
    const isReadable = record !== undefined && !(record instanceof CloisterError)
    return isReadable && isOrphaned(record) ? controlGroupsOf(record) : []
  }

  /** One `ERR_KEEPER_RECORD` for each enclave whose record cannot be read. */
  damaged(): readonly CloisterError[] {
    const found = readdirSync(this.#enclaves).map((id) => this.#read(id))
    return found.filter((record) => record instanceof CloisterError)
  }

  /**
   * One enclave by its id, its name, or either; a running one before an ended one, the newest of those.
   *
   * @throws `ERR_KEEPER_NO_SUCH_ENCLAVE`, `ERR_KEEPER_NO_SUCH_NAME` by name, `ERR_KEEPER_RECORD`
   */
  find(wanted: string, by?: 'id' | 'name'): EnclaveRecord {
    this.settle()
    const matches = this.list().filter(
      ({ id, description }) =>
        (by !== 'name' && id === wanted) || (by !== 'id' && description.name === wanted),
    )
    const found = matches.findLast(isAlive) ?? matches.at(-1)
    if (found !== undefined) return found
    const record = by === 'name' ? undefined : this.#read(wanted)
    if (record instanceof CloisterError) throw record
    const code = by === 'name' ? 'ERR_KEEPER_NO_SUCH_NAME' : 'ERR_KEEPER_NO_SUCH_ENCLAVE'
    throw new CloisterError(code, `no enclave has the ${by ?? 'id or name'} ${wanted}`, {
      details: { enclave: wanted },
    })
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
      this.#release(record)
      this.#forgetOldest()
    }
  }

  /** Records why an enclave has ended whose keeper was killed, unless the keeper has done so itself. */
  finishKilled({ id }: Pick<AliveRecord, 'id'>, cause: EndCause): void {
    const latest = this.#read(id)
    if (latest === undefined || latest instanceof CloisterError || !isAlive(latest)) return
    try {
      this.finish(latest, endNow(latest, cause))
    } catch {
      // A full disk: `list` tells the end all the same, and the next `settle` tries again.
    }
  }

  /** Forgets an enclave: its directory, its name and its CID. */
  remove(record: Pick<EnclaveRecord, 'id' | 'description'>): void {
    rmSync(this.directory(record.id), { recursive: true, force: true })
    this.#release(record)
  }

  #release({ id, description }: Pick<EnclaveRecord, 'id' | 'description'>): void {
    this.#names.release(description.name, id)
    this.#cids.release(String(description.cid), id)
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
    // A process that is still going keeps its group; the next reader tries again.
    if (!removeGroups(controlGroupsOf(record))) return
    // The keeper may have written its last record between the two looks.
    this.finishKilled(record, KILLED_KEEPER)
  }

  #removeHalfMade(id: string, now: number): void {
    const directory = this.directory(id)
    const madeAt = statSync(directory, { throwIfNoEntry: false })?.mtimeMs
    if (madeAt !== undefined && now - madeAt > HALF_MADE_MS) {
      rmSync(directory, { recursive: true, force: true })
    }
  }

  /** A record exists before its name does, so a name without a living record is nobody's. */
  #releaseOrphans(names: Names): void {
    for (const { name, id } of names.list()) {
      const record = id === undefined ? undefined : this.#read(id)
      if (record instanceof CloisterError) continue
      if (record === undefined || !isAlive(record)) names.release(name, id)
    }
  }

  #forgetOldest(): void {
    const ended = this.list()
      .flatMap((record) => (isAlive(record) ? [] : record))
      .toSorted((a, b) => b.end.at.localeCompare(a.end.at))
    for (const record of ended.slice(KEPT_RECORDS)) this.remove(record)
  }
}

/** `name`, `name_1`, `name_2`, … */
function* nameCandidates(name: string): Generator<string> {
  yield name
  for (let suffix = 1; ; suffix++) yield `${name}_${String(suffix)}`
}

/** Where the CIDs begin that are chosen here; nitro-cli refuses 0 to 3, and below users choose. */
const FIRST_AUTOMATIC_CID = 65536

/** The CID; for 0 any, from one that differs between keepers, so that one is not soon used again. */
function* cidCandidates(cid: number): Generator<string> {
  if (cid !== 0) yield String(cid)
  else for (let free = FIRST_AUTOMATIC_CID + process.pid; ; free++) yield String(free)
}

function cidInUse(cid: number): CloisterError {
  return new CloisterError('ERR_KEEPER_CID', `another enclave has the CID ${String(cid)}`, {
    details: { cid },
  })
}

/** Whether its keeper was killed before it could record an end. */
function isOrphaned(record: EnclaveRecord): record is AliveRecord {
  return isAlive(record) && !isRunning(record.keeper)
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
