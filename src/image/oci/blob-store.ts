// The files of an OCI image layout (image-spec image-layout.md) in a directory. Blobs are named by
// their digest; their reader verifies them against it.

import { join } from 'node:path'

import type { Content } from '../../eif/index.ts'
import { openInputFile } from '../../files/index.ts'

/**
 * Opens files by their path in the layout. Disposing of it closes the archive, if the layout is in
 * one.
 */
export interface BlobStore extends AsyncDisposable {
  /** @throws ERR_IMAGE_SOURCE_MISSING */
  open(path: string): Promise<Content & AsyncDisposable>
}

/** @param path - The directory of the layout. */
export function openLayoutDirectory(path: string): BlobStore {
  return {
    open: (name) => openInputFile(join(path, name), 'ERR_IMAGE_SOURCE_MISSING'),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}
