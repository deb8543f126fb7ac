// From an OCI image layout to the manifest and configuration of one image: image-spec
// image-layout.md, image-index.md, manifest.md, config.md. Docker's schema 2 types are the same
// documents under other names.

import { check } from '../../errors.ts'
import type { Architecture } from '../../eif/index.ts'
import type { BlobStore } from './blob-store.ts'
import type { Compression } from '../archive/compression.ts'
import {
  asDescriptor,
  readBlob,
  readDocument,
  readLayoutFile,
  type Descriptor,
} from './descriptor.ts'
import {
  PLATFORM_NAMES,
  pairLayers,
  parseConfig,
  tagError,
  type ImageDescription,
  type ImageLayer,
  type ParsedConfig,
} from './image-description.ts'
import { asList, asObject, asText, type JsonObject } from './json-fields.ts'

const REF_NAME = 'org.opencontainers.image.ref.name'
const MAX_INDEX_DEPTH = 4

const INDEX_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]
const MANIFEST_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]
const LAYER_TYPES: Readonly<Record<string, Compression>> = {
  'application/vnd.oci.image.layer.v1.tar': 'none',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd': 'zstd',
  'application/vnd.docker.image.rootfs.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
}

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
  const selected = selectImage(manifestsOf(index, 'index.json'), tag, architecture)
  const manifest = await readManifest(store, selected, architecture)
  const configBlob = asDescriptor(manifest['config'], 'manifest.config')
  const config = parseConfig(await readDocument(store, configBlob), architecture)
  return { ...config, layers: layersOf(store, manifest, config) }
}

function manifestsOf(index: JsonObject, name: string): readonly Descriptor[] {
  return asList(index['manifests'], `${name}.manifests`).map((entry) => asDescriptor(entry, name))
}

function selectImage(
  manifests: readonly Descriptor[],
  tag: string | undefined,
  architecture: Architecture,
): Descriptor {
  const matches = manifests.filter((manifest) => tag === undefined || refName(manifest) === tag)
  const candidates =
    matches.length > 1 ? matches.filter((match) => isForPlatform(match, architecture)) : matches
  const [match, second] = candidates
  if (match !== undefined && second === undefined) return match
  throw tagError(
    tag,
    manifests.flatMap((manifest) => refName(manifest) ?? []),
    matches.length,
  )
}

function refName({ json }: Descriptor): string | undefined {
  if (json['annotations'] === undefined) return undefined
  const name = asObject(json['annotations'], 'annotations')[REF_NAME]
  return name === undefined ? undefined : asText(name, REF_NAME)
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
    const match = candidates.find((candidate) => isForPlatform(candidate, architecture))
    check(match !== undefined, 'ERR_IMAGE_ARCHITECTURE', `no image for ${architecture}`)
    descriptor = match
  }
  const { mediaType } = descriptor
  check(MANIFEST_TYPES.includes(mediaType), 'ERR_IMAGE_LAYOUT', `${mediaType} is not an image`, {
    details: { mediaType },
  })
  return readDocument(store, descriptor)
}

function isForPlatform({ json }: Descriptor, architecture: Architecture): boolean {
  if (json['platform'] === undefined) return false
  const platform = asObject(json['platform'], 'platform')
  return platform['os'] === 'linux' && platform['architecture'] === PLATFORM_NAMES[architecture]
}

function layersOf(
  store: BlobStore,
  manifest: JsonObject,
  { diffIds }: ParsedConfig,
): readonly ImageLayer[] {
  const blobs = asList(manifest['layers'], 'layers').map((layer) => asDescriptor(layer, 'layer'))
  return pairLayers(blobs, diffIds).map(([blob, diffId]) => {
    const { mediaType } = blob
    const compression = LAYER_TYPES[mediaType]
    check(compression !== undefined, 'ERR_IMAGE_LAYOUT', `${mediaType} is not a layer`, {
      details: { mediaType },
    })
    return { diffId, compression, chunks: () => readBlob(store, blob) }
  })
}
