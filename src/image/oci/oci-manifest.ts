// From an OCI image layout to the manifest and configuration of one image: image-spec
// image-layout.md, image-index.md, manifest.md, config.md. Docker's schema 2 types are the same
// documents under other names.

import { CloisterError, check } from '../../errors.ts'
import type { Architecture } from '../../eif/index.ts'
import type { BlobStore } from './blob-store.ts'
import {
  asDescriptor,
  readBlob,
  readDocument,
  readLayoutFile,
  type Descriptor,
} from './descriptor.ts'
import {
  pairLayers,
  parseConfig,
  type ImageDescription,
  type ImageLayer,
  type ParsedConfig,
} from './image-description.ts'
import { asList, asTextList, type JsonObject } from './json-fields.ts'
import { INDEX_TYPES, checkConfigType, checkManifestType, layerCompression } from './media-types.ts'
import { selectNamed, selectPlatform } from './select-image.ts'

const MAX_INDEX_DEPTH = 4

/**
 * Finds the image that `tag` names (or the only one) for an architecture.
 * @throws ERR_IMAGE_TAG, ERR_IMAGE_ARCHITECTURE, ERR_IMAGE_LAYOUT, ERR_IMAGE_DIGEST
 */
export async function readOciImage(
  store: BlobStore,
  tag: string | undefined,
  architecture: Architecture,
): Promise<ImageDescription> {
  const layout = await readLayoutFile(store, 'oci-layout')
  check(layout['imageLayoutVersion'] === '1.0.0', 'ERR_IMAGE_LAYOUT', 'not an OCI layout 1.0.0')
  const index = await readLayoutFile(store, 'index.json')
  const selected = selectNamed(manifestsOf(index, 'index.json'), tag, architecture)
  const manifest = await readManifest(store, selected, architecture)
  const configBlob = asDescriptor(manifest['config'], 'manifest.config')
  checkConfigType(configBlob.mediaType, manifest['artifactType'])
  const config = parseConfig(await readDocument(store, configBlob), architecture)
  return { ...config, layers: layersOf(store, manifest, config) }
}

function manifestsOf(index: JsonObject, name: string): readonly Descriptor[] {
  return asList(index['manifests'], `${name}.manifests`).map((entry) => asDescriptor(entry, name))
}

/** Follows image indexes to the manifest of the architecture. */
async function readManifest(
  store: BlobStore,
  start: Descriptor,
  architecture: Architecture,
): Promise<JsonObject> {
  let descriptor = start
  for (let depth = 0; INDEX_TYPES.includes(descriptor.mediaType); depth++) {
    check(depth < MAX_INDEX_DEPTH, 'ERR_IMAGE_LAYOUT', 'image indexes are nested too deeply')
    const candidates = manifestsOf(await readDocument(store, descriptor), 'index')
    descriptor = selectPlatform(candidates, architecture)
  }
  checkManifestType(descriptor.mediaType)
  return readDocument(store, descriptor)
}

function layersOf(
  store: BlobStore,
  manifest: JsonObject,
  { diffIds }: ParsedConfig,
): readonly ImageLayer[] {
  const blobs = asList(manifest['layers'], 'layers').map((layer) => asDescriptor(layer, 'layer'))
  const compressions = blobs.map(({ mediaType }) => layerCompression(mediaType))
  return pairLayers(blobs, diffIds).map(([blob, diffId], index) => ({
    diffId,
    compression: compressions[index],
    chunks: () => readLayer(store, blob),
  }))
}

/** A layout has the layers that others distribute ("foreign") only if somebody put them there. */
async function* readLayer(store: BlobStore, blob: Descriptor): AsyncGenerator<Uint8Array> {
  try {
    yield* readBlob(store, blob)
  } catch (error) {
    const isMissing = error instanceof CloisterError && error.code === 'ERR_IMAGE_SOURCE_MISSING'
    const [url] = asTextList(blob.json['urls'], 'urls')
    if (!isMissing || url === undefined) throw error
    const place = `blobs/${blob.digest.replace(':', '/')}`
    throw new CloisterError(error.code, `the layer ${blob.digest} is not included: ${url} has it`, {
      details: { ...error.details, digest: blob.digest, url },
      cause: error,
      hint: `Download it to ${place} of the layout; its digest is verified.`,
    })
  }
}
