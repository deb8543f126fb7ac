// Writes a file completely or not at all: under another name in the same directory, then renamed.

import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import { CloisterError } from '../errors.ts'
import { sinkToFile, sourceOfFile, type ByteSink, type ByteSource } from '../eif/index.ts'

/** The file while it is written. */
export interface OutputFile extends ByteSink {
  /** Its first `size` bytes. */
  source(size: number): ByteSource
}

/**
 * Calls `write` with an empty file that becomes `path` when it returns; when it throws, nothing is
 * left and a file that was there before is untouched.
 * @throws ERR_IMAGE_OUTPUT when the file cannot be made or written, and whatever `write` throws
 */
export async function writeOutputFile<T>(
  path: string,
  write: (file: OutputFile) => Promise<T>,
): Promise<T> {
  const orFail = async <R>(operation: Promise<R>): Promise<R> =>
    operation.catch((cause: unknown) => {
      throw new CloisterError('ERR_IMAGE_OUTPUT', `cannot write ${path}`, {
        details: { path },
        cause,
      })
    })
  const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}`)
  const handle = await orFail(open(temporary, 'wx+'))
  // A command that is interrupted (Ctrl-C) ends by process.exit.
  const remove = (): void => {
    rmSync(temporary, { force: true })
  }
  process.once('exit', remove)
  try {
    const sink = sinkToFile(handle)
    const file: OutputFile = {
      write: (offset, bytes) => orFail(sink.write(offset, bytes)),
      source: (size) => sourceOfFile(handle, size),
    }
    const result = await write(file).finally(() => handle.close())
    await orFail(rename(temporary, path))
    return result
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  } finally {
    process.off('exit', remove)
  }
}
