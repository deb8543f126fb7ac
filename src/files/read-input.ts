// Reads small files whole: keys, certificates, configurations, documents. No more than the bound is
// ever read, whatever the file says of its size (files in /proc say 0).

import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  statSync,
  type Stats,
} from 'node:fs'

import { CloisterError, check, type ErrorCode } from '../errors.ts'
import { INPUT_FLAGS, checkRegular, unreadable } from './input-file.ts'

export interface ReadOptions {
  /** The code of the error when the file cannot be read, is not a regular file, or is too long. */
  readonly code: ErrorCode
  readonly maxBytes: number
  /** Refuses a symbolic link; by default it is followed. */
  readonly noFollow?: boolean
  /** Looks at the open file before it is read; what it throws ends the reading. */
  readonly inspect?: (status: Stats) => void
}

const STANDARD_INPUT = 0
const CHUNK_BYTES = 64 * 1024

/**
 * Checks without opening it that a path leads to a regular file, for a program that opens it later
 * and checks again.
 */
export function checkInputPath(path: string, code: ErrorCode): void {
  try {
    checkRegular(path, statSync(path), code)
  } catch (cause) {
    throw coded(path, code, cause)
  }
}

/** The contents of a regular file of at most `maxBytes`. */
export function readInputFile(path: string, options: ReadOptions): Buffer {
  const { code, noFollow = false } = options
  let descriptor: number
  try {
    checkRegular(path, noFollow ? lstatSync(path) : statSync(path), code)
    descriptor = openSync(path, noFollow ? INPUT_FLAGS | constants.O_NOFOLLOW : INPUT_FLAGS)
  } catch (cause) {
    throw coded(path, code, cause)
  }
  try {
    const status = fstatSync(descriptor)
    checkRegular(path, status, code)
    options.inspect?.(status)
    return readBounded(descriptor, path, options)
  } catch (cause) {
    throw coded(path, code, cause)
  } finally {
    closeSync(descriptor)
  }
}

/** Standard input up to its end, which may be a pipe; at most `maxBytes`. */
export function readStandardInput(options: ReadOptions): Buffer {
  try {
    return readBounded(STANDARD_INPUT, 'standard input', options)
  } catch (cause) {
    throw coded('standard input', options.code, cause)
  }
}

function readBounded(descriptor: number, name: string, { code, maxBytes }: ReadOptions): Buffer {
  const chunks: Buffer[] = []
  let size = 0
  for (;;) {
    const room = Math.min(CHUNK_BYTES, maxBytes + 1 - size)
    const chunk = Buffer.alloc(room)
    const count = readSync(descriptor, chunk, 0, room, null)
    if (count === 0) return Buffer.concat(chunks)
    size += count
    check(size <= maxBytes, code, `${name} has more than ${String(maxBytes)} bytes`, {
      details: { path: name, limit: maxBytes },
      hint: `Check that this is the right file: the limit is ${String(maxBytes)} bytes.`,
    })
    chunks.push(chunk.subarray(0, count))
  }
}

function coded(path: string, code: ErrorCode, error: unknown): unknown {
  return error instanceof CloisterError ? error : unreadable(path, code, error)
}
