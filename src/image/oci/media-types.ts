// The media types of a container image: image-spec media-types.md, and Docker's schema 2 names for the same
// documents and layers.

import { CloisterError } from '../../errors.ts'
import type { Compression } from '../archive/compression.ts'

export const INDEX_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]
const MANIFEST_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]
const CONFIG_TYPES = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
]
const OCI_LAYERS = [
  'application/vnd.oci.image.layer.v1.tar',
  // What its maker does not allow to be passed on; who has it may use it.
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
]
const DOCKER_LAYERS = [
  'application/vnd.docker.image.rootfs.diff.tar',
  'application/vnd.docker.image.rootfs.foreign.diff.tar',
]
const LAYER_TYPES: ReadonlyMap<string, Compression> = new Map([
  ...packings(OCI_LAYERS, '+'),
  ...packings(DOCKER_LAYERS, '.'),
])
const SCHEMA_1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+/

function packings(types: readonly string[], separator: string): readonly [string, Compression][] {
  return types.flatMap((type) => [
    [type, 'none'],
    [`${type}${separator}gzip`, 'gzip'],
    [`${type}${separator}zstd`, 'zstd'],
  ])
}

/** @throws ERR_IMAGE_LAYOUT for a document that is not an image's manifest */
export function checkManifestType(mediaType: string): void {
  if (MANIFEST_TYPES.includes(mediaType)) return
  const isOld = SCHEMA_1.test(mediaType)
  const reason = isOld ? 'a manifest of schema 1, which is no longer supported' : 'not an image'
  throw unsupported(`${mediaType} is ${reason}`, mediaType)
}

/** @throws ERR_IMAGE_LAYOUT for an artifact: a chart, a signature, a list of materials */
export function checkConfigType(mediaType: string, artifactType: unknown): void {
  if (CONFIG_TYPES.includes(mediaType)) return
  const type = typeof artifactType === 'string' ? artifactType : mediaType
  const hint = 'Give the name of a container image; this one has something else, for other tools.'
  throw unsupported(`it is an artifact (${type}), not a container image`, mediaType, hint)
}

/** @throws ERR_IMAGE_LAYOUT for what is not a layer of a file system */
export function layerCompression(mediaType: string): Compression {
  const compression = LAYER_TYPES.get(mediaType)
  if (compression !== undefined) return compression
  if (!mediaType.endsWith('+encrypted')) {
    throw unsupported(`${mediaType} is not a layer`, mediaType)
  }
  const hint = 'Decrypt the image first: `skopeo copy --decryption-key KEY SOURCE oci:DIR`.'
  throw unsupported('a layer is encrypted', mediaType, hint)
}

function unsupported(message: string, mediaType: string, hint?: string): CloisterError {
  const details = { mediaType }
  return new CloisterError('ERR_IMAGE_LAYOUT', message, { details, ...(hint && { hint }) })
}
