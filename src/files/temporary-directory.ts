// A private directory for temporary files, removed when it is disposed of and when the process exits.
// A process that is killed leaves it behind; its name says whose it is, and the next one of this user
// removes it.

import { lstatSync, mkdtempSync, readdirSync, readlinkSync, rmSync, type Stats } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { CloisterError, reasonOf } from '../errors.ts'
import { identifyProcess, isRunning } from '../subprocess/index.ts'
import { Leftover } from './leftover.ts'

export interface TemporaryDirectory extends Disposable {
  /** Absolute; mode 0700. */
  readonly path: string
}

/** Cloister, the purpose, the namespace of the pid, the pid, its start time, something random. */
const NAME = /^cloister-[a-z]+-(\d+)-(\d+)-(\d+)-[^-]{6}$/

/**
 * Makes a directory below TMPDIR whose name says its purpose.
 * @throws ERR_FILE_TEMPORARY when the directory for temporary files is missing or not writable
 */
export function temporaryDirectory(purpose: string): TemporaryDirectory {
  const path = make(purpose)
  const leftover = new Leftover(path, 'directory')
  leftover.made()
  return {
    path,
    [Symbol.dispose]: () => {
      leftover[Symbol.dispose]()
    },
  }
}

/** mkdtemp makes it 0700. */
function make(purpose: string): string {
  const directory = tmpdir()
  try {
    removeAbandoned(directory)
    const { pid, startTime } = identifyProcess(process.pid) ?? { pid: process.pid, startTime: 0 }
    const owner = [pidNamespace(), pid, startTime].join('-')
    return mkdtempSync(join(directory, `cloister-${purpose}-${owner}-`))
  } catch (cause) {
    const message = `cannot create a temporary directory in ${directory}: ${reasonOf(cause)}`
    throw new CloisterError('ERR_FILE_TEMPORARY', message, { details: { directory }, cause })
  }
}

/** Of this user only, and nobody else can reach inside: what is removed cannot lead elsewhere. */
function removeAbandoned(directory: string): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    if (isAbandoned(name) && isPrivate(lstatSync(path, { throwIfNoEntry: false }))) tryRemove(path)
  }
}

/** What cannot be removed, or is just being removed by another process, is not our business. */
function tryRemove(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true })
  } catch (error) {
    process.emitWarning(`cannot remove ${path}: ${reasonOf(error)}`)
  }
}

/** A pid means something in its own namespace only: containers may share a directory. */
function isAbandoned(name: string): boolean {
  const [, namespace, pid, startTime] = NAME.exec(name) ?? []
  if (namespace === undefined || namespace !== pidNamespace()) return false
  return !isRunning({ pid: Number(pid), startTime: Number(startTime) })
}

function isPrivate(status: Stats | undefined): boolean {
  if (status?.isDirectory() !== true) return false
  return status.uid === process.getuid?.() && (status.mode & 0o077) === 0
}

/** `pid:[4026531836]` is its form. */
function pidNamespace(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0'
}
