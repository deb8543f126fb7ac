// The file system of an image: its layers, each verified packed (by its digest, where it has one) and
// unpacked (by its diff_id), applied in order. The unpacked layers lie in one unnamed file while the
// image is built; file contents are read from there.

import { createHash } from 'node:crypto'

import { CloisterError, check } from '../../errors.ts'
import type { Architecture } from '../../eif/index.ts'
import { Spool } from '../../files/index.ts'
import { openLayoutDirectory, type BlobStore } from '../oci/blob-store.ts'
import { MAGIC_BYTES, compressionOf, type Compression } from '../archive/compression.ts'
import { decompress } from '../archive/decompress.ts'
import { readDockerImage } from '../oci/docker-archive.ts'
import { openImageArchive } from '../oci/image-archive.ts'
import type { ImageDescription, ImageLayer } from '../oci/image-description.ts'
import { applyLayer } from '../oci/layer.ts'
import type { JsonObject } from '../oci/json-fields.ts'
import { readOciImage } from '../oci/oci-manifest.ts'
import { ignoreProgress, type ReportProgress } from '../progress.ts'
import type { ImageConfig } from '../config/run-config.ts'
import { directory, type Directory } from '../tree/tree.ts'
import { UnpackBudget } from '../tree/unpack-budget.ts'

/** An image on this machine's disk. */
export interface LayeredImage {
  readonly transport: 'oci' | 'oci-archive' | 'docker-archive'
  readonly path: string
  readonly tag?: string
}

/** The tree's contents can be read until it is disposed of. */
export interface LayeredSource extends AsyncDisposable {
  readonly root: Directory
  readonly config: ImageConfig
  /** @see ParsedConfig */
  readonly id: string
  readonly dockerInfo: JsonObject
}

export interface ReadOptions {
  readonly architecture: Architecture
  readonly budget?: UnpackBudget
  readonly report?: ReportProgress
}

/** @throws ERR_IMAGE_* */
export async function readLayeredSource(
  image: LayeredImage,
  { architecture, budget = new UnpackBudget(), report = ignoreProgress }: ReadOptions,
): Promise<LayeredSource> {
  await using store = await openStore(image, budget)
  const { id, config, layers, dockerInfo } = await describe(store, image, architecture)
  const root = directory()
  const spool = await Spool.create()
  try {
    for (const [index, layer] of layers.entries()) {
      report({ step: 'unpack', done: index, total: layers.length })
      const start = spool.size
      await unpackLayer(layer, spool, budget)
        .then(() => applyLayer(root, spool.source(start), budget))
        .catch((error: unknown) => {
          throw ofLayer(error, layer, `layer ${String(index + 1)} of ${String(layers.length)}`)
        })
    }
    report({ step: 'unpack', done: layers.length, total: layers.length })
  } catch (error) {
    await spool[Symbol.asyncDispose]()
    throw error
  }
  return { root, config, id, dockerInfo, [Symbol.asyncDispose]: () => spool[Symbol.asyncDispose]() }
}

function openStore({ transport, path }: LayeredImage, budget: UnpackBudget): Promise<BlobStore> {
  if (transport === 'oci') return Promise.resolve(openLayoutDirectory(path))
  return openImageArchive(path, budget)
}

function describe(
  store: BlobStore,
  { transport, tag }: LayeredImage,
  architecture: Architecture,
): Promise<ImageDescription> {
  const read = transport === 'docker-archive' ? readDockerImage : readOciImage
  return read(store, tag, architecture)
}

/** The same error with the layer that it is about. */
function ofLayer(error: unknown, { diffId }: ImageLayer, name: string): unknown {
  if (!(error instanceof CloisterError) || !error.code.startsWith('ERR_IMAGE_')) return error
  const { code, message, details, hint, cause } = error
  return new CloisterError(code, `${name}: ${message}`, {
    ...{ details: { ...details, diffId }, hint },
    ...(cause !== undefined && { cause }),
  })
}

async function unpackLayer(layer: ImageLayer, spool: Spool, budget: UnpackBudget): Promise<void> {
  const { diffId } = layer
  const algorithm = /^(sha256|sha512):/.exec(diffId)?.[1]
  check(algorithm !== undefined, 'ERR_IMAGE_LAYOUT', `the diff_id ${diffId} is malformed`)
  const hash = createHash(algorithm)
  const packed = await detect(layer.chunks(), layer.compression)
  await decompress(packed.chunks, packed.compression, async (chunk) => {
    budget.takeBytes(chunk.length)
    hash.update(chunk)
    await spool.append(chunk)
  })
  const actual = `${algorithm}:${hash.digest('hex')}`
  check(
    actual === diffId,
    'ERR_IMAGE_DIGEST',
    'a layer does not unpack to the contents its diff_id names',
    {
      details: { expected: diffId, actual },
    },
  )
}

interface Packed {
  readonly chunks: AsyncIterable<Uint8Array>
  readonly compression: Compression
}

/** Detects an unknown compression from the first bytes, without losing them. */
async function detect(
  chunks: AsyncIterable<Uint8Array>,
  compression: Compression | undefined,
): Promise<Packed> {
  if (compression !== undefined) return { chunks, compression }
  const iterator = chunks[Symbol.asyncIterator]()
  const first = await iterator.next()
  const start = first.done === true ? new Uint8Array() : first.value
  return {
    compression: compressionOf(start.subarray(0, MAGIC_BYTES)),
    chunks: prepend(start, iterator),
  }
}

async function* prepend(
  first: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield first
  for (let item = await rest.next(); item.done !== true; item = await rest.next()) yield item.value
}
