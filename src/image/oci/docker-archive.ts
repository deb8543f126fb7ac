// The image of a `docker save` archive: Docker image specification v1.2, "manifest.json". Its layers
// have no digest of their own; each is verified by the diff_id of the configuration, whose digest is
// in the configuration's file name.

import { createHash } from 'node:crypto'
import { basename } from 'node:path'

import { check } from '../../errors.ts'
import type { Architecture } from '../../eif/index.ts'
import type { BlobStore } from './blob-store.ts'
import { readLayoutBytes } from './descriptor.ts'
import { canonicalReference, parseDockerReference } from './docker-reference.ts'
import { pairLayers, parseConfig, tagError, type ImageDescription } from './image-description.ts'
import { asObject, asText, asTextList, parseJsonList, parseJsonObject } from './json-fields.ts'

interface ManifestItem {
  readonly config: string
  readonly tags: readonly string[]
  readonly layers: readonly string[]
}

/**
 * Finds the image that `tag` names, as Docker would complete the name, or the only one.
 * @throws ERR_IMAGE_TAG, ERR_IMAGE_ARCHITECTURE, ERR_IMAGE_LAYOUT, ERR_IMAGE_DIGEST
 */
export async function readDockerImage(
  store: BlobStore,
  tag: string | undefined,
  architecture: Architecture,
): Promise<ImageDescription> {
  const items = parseJsonList(await readLayoutBytes(store, 'manifest.json'), 'manifest.json')
  const item = selectItem(items.map(parseItem), tag)
  const bytes = await readLayoutBytes(store, item.config)
  checkConfigDigest(item.config, bytes)
  const config = parseConfig(parseJsonObject(bytes, item.config), architecture)
  const layers = pairLayers(item.layers, config.diffIds).map(([path, diffId]) => ({
    diffId,
    compression: undefined,
    chunks: () => readFile(store, path),
  }))
  return { ...config, layers }
}

function parseItem(value: unknown): ManifestItem {
  const item = asObject(value, 'manifest.json')
  return {
    config: asText(item['Config'], 'Config'),
    tags: asTextList(item['RepoTags'], 'RepoTags'),
    layers: asTextList(item['Layers'], 'Layers'),
  }
}

function selectItem(items: readonly ManifestItem[], tag: string | undefined): ManifestItem {
  const wanted = tag === undefined ? undefined : complete(tag)
  const matches = items.filter(
    ({ tags }) => wanted === undefined || tags.map(complete).includes(wanted),
  )
  const [match, second] = matches
  if (match !== undefined && second === undefined) return match
  throw tagError(
    tag,
    items.flatMap(({ tags }) => tags),
    matches.length,
  )
}

function complete(name: string): string {
  const reference = parseDockerReference(name)
  return reference === undefined ? name : canonicalReference(reference)
}

/** The name is `<hex>.json`, `blobs/sha256/<hex>` since Docker 25, and kaniko's `sha256:<hex>`. */
function checkConfigDigest(path: string, bytes: Uint8Array): void {
  const [, expected] = /^(?:sha256:)?([0-9a-f]{64})(?:\.json)?$/.exec(basename(path)) ?? []
  if (expected === undefined) return
  const actual = createHash('sha256').update(bytes).digest('hex')
  check(actual === expected, 'ERR_IMAGE_DIGEST', `${path} has the wrong contents`, {
    details: { expected, actual },
  })
}

async function* readFile(store: BlobStore, path: string): AsyncGenerator<Uint8Array> {
  await using file = await store.open(path)
  yield* file.chunks()
}
