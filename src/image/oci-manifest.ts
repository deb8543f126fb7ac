// From an OCI image layout to the manifest and configuration of one image: image-spec
// image-layout.md, image-index.md, manifest.md, config.md. Docker's schema 2 types are the same
// documents under other names.

import { CloisterError, check } from '../errors.ts'
import type { Architecture } from '../eif/index.ts'
import type { BlobStore } from './blob-store.ts'
import type { Compression } from './decompress.ts'
import { asDescriptor, readDocument, readLayoutFile, type Descriptor } from './descriptor.ts'
import { asList, asObject, asText, asTextList, type JsonObject } from './json-fields.ts'
import type { ImageConfig } from './run-config.ts'

export interface LayerDescriptor {
  readonly blob: Descriptor
  readonly compression: Compression
  /** Digest of the uncompressed archive. */
  readonly diffId: string
}

export interface OciImage {
  /** The hex digest of the configuration: Docker's image id. */
  readonly id: string
  readonly layers: readonly LayerDescriptor[]
  readonly config: ImageConfig
}

/** GOARCH, the names that OCI platforms use. */
const PLATFORM_NAMES: Readonly<Record<Architecture, string>> = { x86_64: 'amd64', aarch64: 'arm64' }
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
): Promise<OciImage> {
  const layout = await readLayoutFile(store, 'oci-layout')
  check(layout['imageLayoutVersion'] === '1.0.0', 'ERR_IMAGE_LAYOUT', 'not an OCI layout 1.0.0')
  const index = await readLayoutFile(store, 'index.json')
  const selected = selectTag(manifestsOf(index, 'index.json'), tag)
  const manifest = await readManifest(store, selected, architecture)
  const configBlob = asDescriptor(manifest['config'], 'manifest.config')
  const config = await readDocument(store, configBlob)
  checkPlatform(config, architecture)
  return {
    id: configBlob.digest.replace(/^.*:/, ''),
    layers: layersOf(manifest, config),
    config: readConfig(config),
  }
}

function manifestsOf(index: JsonObject, name: string): readonly Descriptor[] {
  return asList(index['manifests'], `${name}.manifests`).map((entry) => asDescriptor(entry, name))
}

function selectTag(manifests: readonly Descriptor[], tag: string | undefined): Descriptor {
  const named = manifests.map((descriptor) => ({ descriptor, name: refName(descriptor) }))
  const matches = tag === undefined ? named : named.filter(({ name }) => name === tag)
  const [match, second] = matches
  if (match !== undefined && second === undefined) return match.descriptor
  const tags = named.map(({ name }) => name).filter((name) => name !== undefined)
  const problem = match === undefined ? 'no such image' : 'more than one such image'
  throw new CloisterError('ERR_IMAGE_TAG', `${problem} in the layout: ${tag ?? '(no tag given)'}`, {
    details: { tag: tag ?? null, tags },
  })
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

function checkPlatform(config: JsonObject, architecture: Architecture): void {
  const actual = `${String(config['os'])}/${String(config['architecture'])}`
  const expected = `linux/${PLATFORM_NAMES[architecture]}`
  check(actual === expected, 'ERR_IMAGE_ARCHITECTURE', `the image is for ${actual}`, {
    details: { expected, actual },
  })
}

function layersOf(manifest: JsonObject, config: JsonObject): readonly LayerDescriptor[] {
  const blobs = asList(manifest['layers'], 'layers').map((layer) => asDescriptor(layer, 'layer'))
  const rootfs = asObject(config['rootfs'], 'config.rootfs')
  const diffIds = asTextList(rootfs['diff_ids'], 'config.rootfs.diff_ids')
  check(blobs.length === diffIds.length, 'ERR_IMAGE_LAYOUT', 'not one diff_id per layer', {
    details: { layers: blobs.length, diffIds: diffIds.length },
  })
  return blobs.map((blob, index) => {
    const compression = LAYER_TYPES[blob.mediaType]
    const { mediaType } = blob
    check(compression !== undefined, 'ERR_IMAGE_LAYOUT', `${mediaType} is not a layer`, {
      details: { mediaType },
    })
    return { blob, compression, diffId: diffIds[index] ?? '' }
  })
}

function readConfig(json: JsonObject): ImageConfig {
  const config = asObject(json['config'] ?? {}, 'config.config')
  return {
    entrypoint: asTextList(config['Entrypoint'], 'Entrypoint'),
    cmd: asTextList(config['Cmd'], 'Cmd'),
    env: asTextList(config['Env'], 'Env'),
    workdir: asText(config['WorkingDir'] ?? '', 'WorkingDir'),
    user: asText(config['User'] ?? '', 'User'),
  }
}
