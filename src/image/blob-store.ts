// The files of an OCI image layout (image-spec image-layout.md), in a directory or inside a tar
// archive. Blobs are named by their digest, and are verified against it by whoever reads them.

import { join } from 'node:path'

import { CloisterError, type ErrorCode } from '../errors.ts'
import type { Content } from '../eif/index.ts'
import { chunksOf, openInputFile, type InputFile } from '../files/index.ts'
import type { ImageReference } from './image-reference.ts'
import { readTar } from './tar.ts'
import { parsePath } from './tree.ts'
import type { UnpackBudget } from './unpack-budget.ts'

const CODE: ErrorCode = 'ERR_IMAGE_SOURCE_MISSING'

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

  open(path: string): Promise<Content & AsyncDisposable> {
    return openInputFile(join(this.#path, path), CODE)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}

class ArchiveStore implements BlobStore {
  readonly #archive: InputFile
  readonly #files: ReadonlyMap<string, Content>

  private constructor(archive: InputFile, files: ReadonlyMap<string, Content>) {
    this.#archive = archive
    this.#files = files
  }

  static async open(path: string, budget: UnpackBudget): Promise<ArchiveStore> {
    const archive = await openInputFile(path, CODE)
    try {
      const source = archive.source()
      const files = new Map<string, Content>()
      for await (const { type, path: name, offset, size } of readTar(source)) {
        budget.takeEntry()
        if (type !== 'file') continue
        files.set(parsePath(name).join('/'), { size, chunks: () => chunksOf(source, offset, size) })
      }
      return new ArchiveStore(archive, files)
    } catch (error) {
      await archive[Symbol.asyncDispose]()
      throw error
    }
  }

  open(path: string): Promise<Content & AsyncDisposable> {
    const content = this.#files.get(path)
    if (content === undefined) return Promise.reject(missing(path))
    return Promise.resolve({ ...content, [Symbol.asyncDispose]: () => Promise.resolve() })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#archive[Symbol.asyncDispose]()
  }
}

function missing(path: string): CloisterError {
  return new CloisterError(CODE, `the archive has no file ${path}`, { details: { path } })
}
