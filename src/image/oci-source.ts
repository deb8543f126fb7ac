// The file system of an OCI image: its layers, each verified packed (by its digest) and unpacked
// (by its diff_id), applied in order. The unpacked layers lie in unnamed files while the image is
// built; file contents are read from there.

import { createHash } from 'node:crypto'

import { check } from '../errors.ts'
import type { Architecture } from '../eif/index.ts'
import { Spool } from '../files/index.ts'
import { openBlobStore, type BlobStore } from './blob-store.ts'
import { decompress } from './decompress.ts'
import { readBlob } from './descriptor.ts'
import type { ImageReference } from './image-reference.ts'
import { applyLayer } from './layer.ts'
import { readOciImage, type LayerDescriptor } from './oci-manifest.ts'
import type { ImageConfig } from './run-config.ts'
import { directory, type Directory } from './tree.ts'
import { UnpackBudget } from './unpack-budget.ts'

/** The tree's contents can be read until it is disposed of. */
export interface OciSource extends AsyncDisposable {
  readonly root: Directory
  readonly config: ImageConfig
  /** Hex digest of the image's configuration. */
  readonly id: string
}

/** @throws ERR_IMAGE_* */
export async function readOciSource(
  reference: ImageReference,
  architecture: Architecture,
  budget = new UnpackBudget(),
): Promise<OciSource> {
  await using store = await openBlobStore(reference, budget)
  const { id, config, layers } = await readOciImage(store, reference.tag, architecture)
  const root = directory()
  const spools: Spool[] = []
  const dispose = async (): Promise<void> => {
    for (const spool of spools) await spool[Symbol.asyncDispose]()
  }
  try {
    for (const layer of layers) {
      const spool = await Spool.create()
      spools.push(spool)
      await unpackLayer(store, layer, spool, budget)
      await applyLayer(root, spool.source(), budget)
    }
  } catch (error) {
    await dispose()
    throw error
  }
  return { root, config, id, [Symbol.asyncDispose]: dispose }
}

async function unpackLayer(
  store: BlobStore,
  { blob, compression, diffId }: LayerDescriptor,
  spool: Spool,
  budget: UnpackBudget,
): Promise<void> {
  const algorithm = /^(sha256|sha512):/.exec(diffId)?.[1]
  check(algorithm !== undefined, 'ERR_IMAGE_LAYOUT', `the diff_id ${diffId} is malformed`)
  const hash = createHash(algorithm)
  await decompress(readBlob(store, blob), compression, async (chunk) => {
    budget.takeBytes(chunk.length)
    hash.update(chunk)
    await spool.append(chunk)
  })
  const actual = `${algorithm}:${hash.digest('hex')}`
  check(actual === diffId, 'ERR_IMAGE_DIGEST', 'a layer unpacks to other contents', {
    details: { expected: diffId, actual },
  })
}
