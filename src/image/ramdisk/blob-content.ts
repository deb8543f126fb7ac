// A file of the host as a part of an image, read when the image is written.

import { realpath } from 'node:fs/promises'

import { check, type ErrorCode } from '../../errors.ts'
import type { Content } from '../../eif/index.ts'
import { openInputFile } from '../../files/index.ts'

/** A regular file, which must still have its size when it is read. */
export async function fileContent(path: string, code: ErrorCode): Promise<Content> {
  await using file = await openInputFile(path, code)
  const target = await realpath(path)
  return { size: file.size, chunks: () => read(target, file.size, code) }
}

async function* read(path: string, size: number, code: ErrorCode): AsyncGenerator<Uint8Array> {
  await using file = await openInputFile(path, code)
  check(file.size === size, 'ERR_IMAGE_SOURCE_CHANGED', `${path} changed while it was read`, {
    details: { path, expected: size, actual: file.size },
  })
  yield* file.chunks()
}
