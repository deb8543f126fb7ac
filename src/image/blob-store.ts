// The files of an OCI image layout (image-spec image-layout.md), in a directory or inside a tar
// archive. Blobs are named by their digest, and are verified against it by whoever reads them.

import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'

import { CloisterError, check } from '../errors.ts'
import { chunksOf, sourceOfFile, type Content } from '../eif/index.ts'
import type { ImageReference } from './image-reference.ts'
import { readTar } from './tar.ts'
import { parsePath } from './tree.ts'
import type { UnpackBudget } from './unpack-budget.ts'

export interface BlobStore extends AsyncDisposable {
  /** @throws ERR_IMAGE_SOURCE_MISSING */
  open(path: string): Promise<Content & AsyncDisposable>
}

/** @throws ERR_IMAGE_SOURCE_MISSING, ERR_IMAGE_TAR */
export async function openBlobStore(
  reference: ImageReference,
  budget: UnpackBudget,
): Promise<BlobStore> {
  if (reference.transport === 'oci') return new DirectoryStore(reference.path)
  return ArchiveStore.open(reference.path, budget)
}

class DirectoryStore implements BlobStore {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async open(path: string): Promise<Content & AsyncDisposable> {
    const handle = await openFile(join(this.#path, path))
    const size = await sizeOf(handle)
    return {
      size,
      chunks: () => chunksOf(sourceOfFile(handle, size), 0, size),
      [Symbol.asyncDispose]: () => handle.close(),
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}

class ArchiveStore implements BlobStore {
  readonly #handle: FileHandle
  readonly #files: ReadonlyMap<string, Content>

  private constructor(handle: FileHandle, files: ReadonlyMap<string, Content>) {
    this.#handle = handle
    this.#files = files
  }

  static async open(path: string, budget: UnpackBudget): Promise<ArchiveStore> {
    const handle = await openFile(path)
    try {
      const source = sourceOfFile(handle, await sizeOf(handle))
      const files = new Map<string, Content>()
      for await (const { type, path: name, offset, size } of readTar(source)) {
        budget.takeEntry()
        if (type !== 'file') continue
        files.set(parsePath(name).join('/'), { size, chunks: () => chunksOf(source, offset, size) })
      }
      return new ArchiveStore(handle, files)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  open(path: string): Promise<Content & AsyncDisposable> {
    const content = this.#files.get(path)
    if (content === undefined) return Promise.reject(missing(path))
    return Promise.resolve({ ...content, [Symbol.asyncDispose]: () => Promise.resolve() })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}

async function openFile(path: string): Promise<FileHandle> {
  return open(path).catch((cause: unknown) => {
    throw missing(path, cause)
  })
}

async function sizeOf(handle: FileHandle): Promise<number> {
  const status = await handle.stat()
  check(status.isFile(), 'ERR_IMAGE_SOURCE_MISSING', 'a part of the image is not a regular file')
  return status.size
}

function missing(path: string, cause?: unknown): CloisterError {
  return new CloisterError('ERR_IMAGE_SOURCE_MISSING', `cannot read ${path}`, {
    details: { path },
    cause,
  })
}
