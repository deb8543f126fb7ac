// Opens a file that the user, or a document of theirs, named. Only a regular file is opened: a FIFO
// would block until somebody writes, a device may never end, and opening one can have effects.

import { constants, type Stats } from 'node:fs'
import { lstat, open, stat, type FileHandle } from 'node:fs/promises'

import { CloisterError, check, reasonOf, type ErrorCode } from '../errors.ts'
import { chunksOf, sourceOfFile, type ByteSource } from './byte-source.ts'

/** An open regular file. Its size is the one it had when it was opened. */
export interface InputFile extends AsyncDisposable {
  readonly handle: FileHandle
  /** Bytes. */
  readonly size: number
  source(): ByteSource
  chunks(): AsyncGenerator<Uint8Array>
}

/** O_NONBLOCK: what became a FIFO after it was looked at does not block either. */
export const INPUT_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY

/**
 * Opens a regular file for reading; symbolic links are followed unless `noFollow` is set.
 * @param code - the code of the error when the file is missing, unreadable or not a regular file
 */
export async function openInputFile(
  name: string | Buffer,
  code: ErrorCode,
  { noFollow = false }: { readonly noFollow?: boolean } = {},
): Promise<InputFile> {
  const path = name.toString()
  const orUnreadable = async <T>(operation: Promise<T>): Promise<T> =>
    operation.catch((cause: unknown) => {
      throw unreadable(path, code, cause)
    })
  checkRegular(path, await orUnreadable(noFollow ? lstat(name) : stat(name)), code)
  const flags = noFollow ? INPUT_FLAGS | constants.O_NOFOLLOW : INPUT_FLAGS
  const handle = await orUnreadable(open(name, flags))
  try {
    const status = await orUnreadable(handle.stat())
    checkRegular(path, status, code)
    return inputFile(handle, status.size, path)
  } catch (error) {
    await handle.close()
    throw error
  }
}

function inputFile(handle: FileHandle, size: number, name: string): InputFile {
  const source = sourceOfFile(handle, size, name)
  return {
    handle,
    size,
    source: () => source,
    chunks: () => chunksOf(source, 0, size),
    [Symbol.asyncDispose]: () => handle.close(),
  }
}

/** @throws `code` with the kind of the file in its details when it is not a regular file */
export function checkRegular(path: string, status: Stats, code: ErrorCode): void {
  const kind = kindOf(status)
  check(kind === 'file', code, `${path} is a ${kind}, not a regular file`, {
    details: { path, kind },
    hint:
      kind === 'directory'
        ? 'Give the path of a regular file, such as one in the directory.'
        : `Give the path of a regular file; copy the contents of a ${kind} into one first.`,
  })
}

/** The error with this code for a file that could not be opened or read; the caller throws it. */
export function unreadable(path: string, code: ErrorCode, cause: unknown): CloisterError {
  const hint = HINTS[(cause as NodeJS.ErrnoException).code ?? '']
  return new CloisterError(code, `cannot read ${path}: ${reasonOf(cause)}`, {
    ...{ details: { path }, cause },
    ...(hint !== undefined && { hint }),
  })
}

/** What helps whatever the file is for; else the advice of the code counts. */
const HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'Check the path.',
  ENOTDIR: 'Check the path: one of its directories is a file.',
  ELOOP: 'Check the path: its symbolic links lead nowhere.',
  EACCES: 'Give this user read permission on the file and on the directories above it.',
}

type FileKind =
  'file' | 'directory' | 'symbolic link' | 'FIFO' | 'character device' | 'block device' | 'socket'

export function kindOf(status: Stats): FileKind {
  if (status.isFile()) return 'file'
  if (status.isDirectory()) return 'directory'
  if (status.isSymbolicLink()) return 'symbolic link'
  if (status.isFIFO()) return 'FIFO'
  if (status.isCharacterDevice()) return 'character device'
  return status.isBlockDevice() ? 'block device' : 'socket'
}
