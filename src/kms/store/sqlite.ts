// The broker's store: one SQLite file, written ahead (WAL) and synchronous to the disk, so that what was
// acknowledged is there after the process is killed or the power is cut. One process at a time has it:
// the kernel's lock on a file beside it ends with the process, however it ends.
//
// SQLite is node-sqlite3-wasm: no native build, so the same package for every Node.js from 20 on.
// better-sqlite3 12 ends before Node.js 26 and 13 begins at 22, node:sqlite at 22; both take turns
// with native code that the set-up would have to compile.

import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statfsSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import type { Database as Sqlite, Statement } from 'node-sqlite3-wasm'
import { check, CloisterError, reasonOf } from '../../errors.ts'
import { makeDirectory } from '../../files/index.ts'
import { checkPrivate } from '../private-file.ts'
import { Database, type Row, type Value } from './database.ts'
import { migrationsFor } from './schema.ts'

const { Database: OpenSqlite } = createRequire(import.meta.url)('node-sqlite3-wasm') as {
  readonly Database: new (path: string) => Sqlite
}

const CODE = 'ERR_KMS_STORE'
/** "clkm", so that `file` and we know the file. */
const APPLICATION_ID = 0x636c6b6d

/** A transaction may need more room than this. */
const FULL_BYTES = 256 * 1024

/** What is deleted is overwritten. Foreign keys count once the tables are those of today. */
const PRAGMAS = [
  ...['locking_mode = EXCLUSIVE', 'journal_mode = WAL', 'synchronous = FULL', 'secure_delete = ON'],
  'foreign_keys = OFF',
]

/** What an opening made that was not there. */
interface MadeHere {
  readonly isNew: boolean
  /** The outermost of the directories; undefined when all were there. */
  readonly firstDirectory: string | undefined
}

/** An open SQLite store. */
export class SqliteDatabase extends Database {
  readonly #sqlite: Sqlite
  readonly #lock: number
  readonly #made: MadeHere
  readonly #statements = new Map<string, Statement>()
  readonly name: string
  readonly isNew: boolean

  private constructor(path: string, sqlite: Sqlite, held: MadeHere & { readonly lock: number }) {
    super()
    this.name = path
    this.isNew = held.isNew
    this.#sqlite = sqlite
    this.#lock = held.lock
    this.#made = held
  }

  /**
   * Opens the store in a directory of its own; makes both when they are missing.
   * @throws ERR_KMS_STORE when another broker has it, or it is not a store of ours
   */
  static open(directory: string): SqliteDatabase {
    return opening(directory, () => {
      const firstDirectory = makeDirectory(directory)
      checkDirectory(directory)
      const lock = lockFile(join(directory, 'lock'), directory)
      try {
        const path = join(directory, 'kms.db')
        // SQLite's own lock, which a killed process leaves behind. Ours says that nobody has it.
        rmSync(`${path}.lock`, { recursive: true, force: true })
        const isNew = !existsSync(path)
        return new SqliteDatabase(path, openSqlite(path), { lock, isNew, firstDirectory })
      } catch (error) {
        closeSync(lock)
        throw error
      }
    })
  }

  /** Read to the end: a statement that is not holds up the next checkpoint. */
  get(sql: string, values: readonly Value[] = []): Row | null {
    return this.all(sql, values)[0] ?? null
  }

  all(sql: string, values: readonly Value[] = []): readonly Row[] {
    return this.#guarded(() => this.#with(sql, (one) => one.all(whole(values)) as readonly Row[]))
  }

  hasTable(name: string): boolean {
    const sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return this.get(sql, [name]) !== null
  }

  /** Closes the store; one that this opening made is removed, while nobody else can have it. */
  abandon(): void {
    if (!this.#sqlite.isOpen) return
    this.#close()
    if (this.isNew) removeStore(this.name, this.#made.firstDirectory)
    closeSync(this.#lock)
  }

  [Symbol.dispose](): void {
    if (!this.#sqlite.isOpen) return
    this.settle()
    this.#close()
    closeSync(this.#lock)
  }

  protected get isInTransaction(): boolean {
    return this.#sqlite.inTransaction
  }

  protected execute(sql: string, values: readonly Value[]): number {
    return this.#guarded(() => this.#with(sql, (one) => one.run(whole(values)).changes))
  }

  protected begin(): void {
    this.execute('BEGIN IMMEDIATE', [])
  }

  protected commit(): void {
    this.execute('COMMIT', [])
  }

  protected rollBack(): void {
    if (this.isInTransaction) this.execute('ROLLBACK', [])
  }

  protected copy(path: string): void {
    this.execute('VACUUM INTO ?', [path])
  }

  /** Moves the write-ahead log into the file and empties it. */
  protected removeDeleted(): void {
    this.get('PRAGMA wal_checkpoint(TRUNCATE)')
  }

  /** A statement is prepared once, and again after it has failed: it reports its failure until then. */
  #with<T>(sql: string, work: (statement: Statement) => T): T {
    const statement = this.#statements.get(sql) ?? this.#sqlite.prepare(sql)
    this.#statements.set(sql, statement)
    try {
      return work(statement)
    } catch (error) {
      this.#statements.delete(sql)
      finalize(statement)
      throw error
    }
  }

  /** SQLite closes the file when the last statement is gone. */
  #close(): void {
    for (const statement of this.#statements.values()) finalize(statement)
    this.#statements.clear()
    this.#sqlite.close()
  }

  #guarded<T>(work: () => T): T {
    try {
      return work()
    } catch (cause) {
      if (cause instanceof CloisterError) throw cause
      const reason = `${reasonOf(cause)}${diskNote(dirname(this.name))}`
      throw new CloisterError(CODE, `the store ${this.name} fails: ${reason}`, { cause })
    }
  }
}

/** Whether its last execution failed is known already. */
function finalize(statement: Statement): void {
  try {
    statement.finalize()
  } catch (error) {
    if (!statement.isFinalized) throw error
  }
}

/** node-sqlite3-wasm calls every failure of the disk an I/O error. */
function diskNote(directory: string): string {
  try {
    const { bavail, bsize } = statfsSync(directory)
    return bavail * bsize < FULL_BYTES ? '; the disk is full' : ''
  } catch {
    return ''
  }
}

/** node-sqlite3-wasm ends a text at U+0000: what came back would not be what was put in. */
function whole(values: readonly Value[]): Value[] {
  const isCut = values.some((value) => typeof value === 'string' && value.includes('\0'))
  if (isCut) throw new RangeError('a text has U+0000 in it')
  return [...values]
}

/**
 * The lock stays where the directory does: somebody may be about to take it. Directories go from the innermost to
 * the first that was made, as far as they are empty.
 */
function removeStore(path: string, firstDirectory: string | undefined): void {
  for (const suffix of ['', '-wal', '-journal', '.lock'])
    rmSync(`${path}${suffix}`, { recursive: true, force: true })
  if (firstDirectory === undefined) return
  const first = resolve(firstDirectory)
  let directory = resolve(dirname(path))
  rmSync(join(directory, 'lock'), { force: true })
  while (directory.startsWith(first) && readdirSync(directory).length === 0) {
    rmdirSync(directory)
    directory = dirname(directory)
  }
}

function checkDirectory(directory: string): void {
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const hint = `Run \`chmod 700 ${directory}\` as its owner, who is the broker's user or root.`
    checkPrivate(fstatSync(descriptor), directory, { code: CODE, hint })
  } finally {
    closeSync(descriptor)
  }
}

function opening<T>(directory: string, open: () => T): T {
  try {
    return open()
  } catch (cause) {
    if (cause instanceof CloisterError) throw cause
    const message = `cannot open the store in ${directory}: ${reasonOf(cause)}`
    throw new CloisterError(CODE, message, { cause, details: { directory } })
  }
}

/** Held by the open file that we and `flock` share, until we close it or end. */
function lockFile(path: string, directory: string): number {
  const file = openSync(path, 'a', 0o600)
  const { status, error } = spawnSync('flock', ['--nonblock', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', file],
  })
  if (status === 0) return file
  closeSync(file)
  if (error) throw error
  throw new CloisterError(CODE, `another broker has the store ${directory} open`, {
    details: { directory },
    hint: 'End it first, or give another directory with --store.',
  })
}

function openSqlite(path: string): Sqlite {
  const sqlite = new OpenSqlite(path)
  try {
    chmodSync(path, 0o600)
    for (const pragma of PRAGMAS) sqlite.exec(`PRAGMA ${pragma}`)
    migrate(sqlite, path)
    sqlite.exec('PRAGMA foreign_keys = ON')
    return sqlite
  } catch (error) {
    sqlite.close()
    throw error
  }
}

function migrate(sqlite: Sqlite, path: string): void {
  const pragma = (name: string): number => Number(sqlite.get(`PRAGMA ${name}`)?.[name])
  const [application, version] = [pragma('application_id'), pragma('user_version')]
  const isOurs = application === APPLICATION_ID || (application === 0 && version === 0)
  check(isOurs, CODE, `${path} is not a store of cloister kms`)
  const migrations = migrationsFor('sqlite')
  check(version <= migrations.length, CODE, `${path} was made by a later version of Cloister`)
  for (const [index, statements] of migrations.entries()) {
    if (index < version) continue
    sqlite.exec('BEGIN IMMEDIATE')
    for (const statement of statements) sqlite.exec(statement)
    sqlite.exec(`PRAGMA application_id = ${String(APPLICATION_ID)}`)
    sqlite.exec(`PRAGMA user_version = ${String(index + 1)}`)
    sqlite.exec('COMMIT')
  }
}
