// Writes a file that the user named. A regular file appears completely or not at all: it is written
// under another name in its directory, then renamed. What is already there decides the rest: a
// symbolic link keeps its place and its target is written, a character device is written through, and
// anything else that is not a regular file is refused. Nothing of these is ever replaced.

import { constants, existsSync, type Stats } from 'node:fs'
import { lstat, open, realpath, rename, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import { CloisterError, check, reasonOf, type ErrorCode } from '../errors.ts'
import {
  chunksOf,
  sinkToFile,
  sourceOfFile,
  type ByteSink,
  type ByteSource,
} from './byte-source.ts'
import { kindOf } from './input-file.ts'
import { Leftover } from './leftover.ts'
import { makeFile } from './new-file.ts'
import { Spool } from './spool.ts'

/** The file while it is written. */
export interface OutputFile extends ByteSink {
  /** Its first `size` bytes. */
  source(size: number): ByteSource
}

type Write<T> = (file: OutputFile) => Promise<T>

const CODE: ErrorCode = 'ERR_FILE_OUTPUT'

/**
 * Calls `write` with an empty file that becomes `path` when it returns; when it throws, nothing is
 * left and a file that was there before is untouched.
 * @throws ERR_FILE_OUTPUT when the file cannot be made or written, and whatever `write` throws
 */
export async function writeOutputFile<T>(path: string, write: Write<T>): Promise<T> {
  const status = await orFail(path, statusOf(path))
  if (status === undefined) return replace(path, { target: path }, write)
  if (status.isCharacterDevice()) return writeThrough(path, write)
  check(status.isFile(), CODE, `${path} is a ${kindOf(status)}, not a regular file`, {
    details: { path, kind: kindOf(status) },
    hint: 'Give the path of a new file, or of a regular file to replace.',
  })
  return replace(path, { target: await orFail(path, targetOf(path, status)), status }, write)
}

/** What `path` leads to; undefined when there is nothing. */
async function statusOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const isLink = await lstat(path).then(
    (link) => link.isSymbolicLink(),
    () => false,
  )
  check(!isLink, CODE, `${path} is a symbolic link to a file that does not exist`, {
    details: { path },
    hint: 'Give the path that the link should lead to, or remove the link.',
  })
  return undefined
}

/**
 * The file itself, behind symbolic links. It is opened for writing once: the kernel then refuses a
 * link that another user placed in a sticky directory (fs.protected_symlinks), and a file that the
 * user may not write.
 */
async function targetOf(path: string, { dev, ino }: Stats): Promise<string> {
  await using handle = await open(path, constants.O_WRONLY | constants.O_NONBLOCK)
  const target = await realpath(path)
  const [opened, resolved] = [await handle.stat(), await lstat(target)]
  for (const status of [opened, resolved]) {
    check(status.dev === dev && status.ino === ino, CODE, `${path} was replaced by another process`)
  }
  return target
}

/** A file that is replaced, which keeps its permissions and, if it may, its owner. */
interface Replaced {
  readonly target: string
  readonly status?: Stats
}

async function replace<T>(path: string, { target, status }: Replaced, write: Write<T>): Promise<T> {
  const temporary = join(dirname(target), `.${basename(target)}.${crypto.randomUUID()}`)
  using leftover = new Leftover(temporary, 'file')
  const made = (): void => {
    leftover.made()
  }
  const handle = await orFail(path, makeFile({ path: temporary, made }))
  const result = await orFail(path, takeOver(handle, status))
    .then(() => write(outputFile(path, handle)))
    .finally(() => handle.close())
  await orFail(path, rename(temporary, target))
  leftover.moved()
  return result
}

/** Before a byte is written: what only the owner may read is never readable to others. */
async function takeOver(handle: FileHandle, replaced: Stats | undefined): Promise<void> {
  if (replaced === undefined) return
  const { mode, uid, gid } = replaced
  const own = await handle.stat()
  const isSame = own.uid === uid && own.gid === gid
  // Only root may give a file away; else the new file is the user's, like every file that is replaced.
  if (!isSame && process.geteuid?.() === 0) await handle.chown(uid, gid)
  await handle.chmod(mode & 0o777)
}

function outputFile(path: string, handle: FileHandle): OutputFile {
  const sink = sinkToFile(handle)
  return {
    write: (offset, bytes) => orFail(path, sink.write(offset, bytes)),
    source: (size) => sourceOfFile(handle, size),
  }
}

/** A device takes bytes in order only, so they are collected first. */
async function writeThrough<T>(path: string, write: Write<T>): Promise<T> {
  await using spool = await Spool.create()
  const result = await write({
    write: (offset, bytes) => spool.write(offset, bytes),
    source: () => spool.source(),
  })
  const flags = constants.O_WRONLY | constants.O_NOCTTY
  await using device = await orFail(path, open(path, flags))
  const source = spool.source()
  for await (const chunk of chunksOf(source, 0, source.size)) {
    await orFail(path, device.writeFile(chunk))
  }
  return result
}

async function orFail<R>(path: string, operation: Promise<R>): Promise<R> {
  return operation.catch((cause: unknown) => {
    if (cause instanceof CloisterError) throw cause
    const code = (cause as NodeJS.ErrnoException).code ?? ''
    // A file system such as /proc, where no file can be made, has the same word for it.
    const isMissing = (code === 'ENOENT' || code === 'ENOTDIR') && !existsSync(dirname(path))
    const reason = isMissing ? `there is no directory ${dirname(path)}` : reasonOf(cause)
    const hint = isMissing ? NO_DIRECTORY : HINTS[code]
    throw new CloisterError(CODE, `cannot write ${path}: ${reason}`, {
      details: { path },
      // The system's words, and the name of a temporary file, say less.
      ...(!isMissing && { cause }),
      ...(hint !== undefined && { hint }),
    })
  })
}

const NO_DIRECTORY = 'Create the directory first, or correct the path.'
const SPACE = 'Free some space on that disk, or write the file to another one.'
const HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'Choose another directory.',
  EACCES: 'Choose a directory that this user may write to.',
  EPERM: 'Choose a directory that this user may write to.',
  EROFS: 'Choose a directory on a writable file system.',
  ENOSPC: SPACE,
  EDQUOT: SPACE,
}
