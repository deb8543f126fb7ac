// Content descriptors (image-spec descriptor.md): what a blob is, how long, and its digest. Nothing
// of a blob is used before its length and digest are verified.

import { createHash } from 'node:crypto'

import { check } from '../../errors.ts'
import type { BlobStore } from './blob-store.ts'
import { asObject, asSize, asText, parseJsonObject, type JsonObject } from './json-fields.ts'

export interface Descriptor {
  readonly mediaType: string
  /** `sha256:` or `sha512:` and lower-case hex. */
  readonly digest: string
  readonly size: number
  /** The descriptor itself, for its platform and annotations. */
  readonly json: JsonObject
}

/** Manifests and configurations; registries refuse larger ones. */
const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
const digestPattern = /^(?:(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128}))$/

/**
 * A content descriptor with a well-formed digest and a size in bytes. `name` is what errors call
 * it.
 *
 * @throws `ERR_IMAGE_LAYOUT`
 */
export function asDescriptor(value: unknown, name: string): Descriptor {
  const json = asObject(value, name)
  const digest = asText(json['digest'], `${name}.digest`)
  check(digestPattern.test(digest), 'ERR_IMAGE_LAYOUT', `${name} has a malformed digest`, {
    details: { digest },
  })
  return {
    mediaType: asText(json['mediaType'], `${name}.mediaType`),
    digest,
    size: asSize(json['size'], `${name}.size`),
    json,
  }
}

/**
 * The chunks of a blob; the stream ends with an error unless length and digest match.
 * @throws ERR_IMAGE_DIGEST, ERR_IMAGE_SOURCE_MISSING
 */
export async function* readBlob(
  store: BlobStore,
  { digest, size }: Descriptor,
): AsyncGenerator<Uint8Array> {
  const [algorithm = '', hex = ''] = digest.split(':')
  await using blob = await store.open(`blobs/${algorithm}/${hex}`)
  check(blob.size === size, 'ERR_IMAGE_DIGEST', `blob ${digest} has the wrong length`, {
    details: { digest, expected: size, actual: blob.size },
  })
  const hash = createHash(algorithm)
  for await (const chunk of blob.chunks()) {
    hash.update(chunk)
    yield chunk
  }
  const actual = `${algorithm}:${hash.digest('hex')}`
  check(actual === digest, 'ERR_IMAGE_DIGEST', `blob ${digest} has the wrong contents`, {
    details: { expected: digest, actual },
  })
}

/** A whole JSON blob, verified. */
export async function readDocument(store: BlobStore, descriptor: Descriptor): Promise<JsonObject> {
  checkDocumentSize(descriptor.size, descriptor.digest)
  const chunks: Uint8Array[] = []
  for await (const chunk of readBlob(store, descriptor)) chunks.push(chunk)
  return parseJsonObject(Buffer.concat(chunks), `blob ${descriptor.digest}`)
}

/** A JSON file of the layout that is not a blob: `oci-layout` or `index.json`. */
export async function readLayoutFile(store: BlobStore, path: string): Promise<JsonObject> {
  return parseJsonObject(await readLayoutBytes(store, path), path)
}

/** The bytes of a document that has no descriptor. */
export async function readLayoutBytes(store: BlobStore, path: string): Promise<Uint8Array> {
  await using content = await store.open(path)
  checkDocumentSize(content.size, path)
  const chunks: Uint8Array[] = []
  for await (const chunk of content.chunks()) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function checkDocumentSize(size: number, name: string): void {
  check(size <= MAX_DOCUMENT_BYTES, 'ERR_IMAGE_LIMIT', `${name} is too long`, {
    details: { size, limit: MAX_DOCUMENT_BYTES },
  })
}
