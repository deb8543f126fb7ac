// Tar archives and OCI layouts made to order, well-formed or hostile.

import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { pack, type Header } from 'tar-stream'

export type Member = Partial<Header> & { readonly name: string; readonly data?: string }

/** An uncompressed tar; hard links and symbolic links take `linkname`. */
export async function tarOf(members: readonly Member[]): Promise<Buffer> {
  const archive = pack()
  for (const { data = '', ...header } of members) archive.entry({ mode: 0o644, ...header }, data)
  archive.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of archive) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

export interface LayoutParts {
  readonly layers: readonly Buffer[]
  /** Packed layers, when they are not just the gzip of `layers`. */
  readonly packed?: readonly Buffer[]
  readonly layerType?: string
  readonly config?: object
  readonly architecture?: string
  readonly diffIds?: readonly string[]
  readonly tags?: readonly string[]
}

const GZIP_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'

/** Writes an OCI image layout; every digest and length in it is right. */
export async function writeLayout(path: string, parts: LayoutParts): Promise<void> {
  await mkdir(join(path, 'blobs/sha256'), { recursive: true })
  const packed = parts.packed ?? parts.layers.map((layer) => gzipSync(layer))
  const layers = []
  for (const blob of packed) {
    layers.push(await writeBlob(path, parts.layerType ?? GZIP_LAYER, blob))
  }
  const config = await writeJson(path, 'application/vnd.oci.image.config.v1+json', {
    os: 'linux',
    architecture: parts.architecture ?? 'amd64',
    config: parts.config ?? { Entrypoint: ['/app'] },
    rootfs: { type: 'layers', diff_ids: parts.diffIds ?? parts.layers.map(digestOf) },
  })
  const manifestType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = await writeJson(path, manifestType, { schemaVersion: 2, config, layers })
  const manifests = (parts.tags ?? ['latest']).map((tag) => ({
    ...manifest,
    annotations: { 'org.opencontainers.image.ref.name': tag },
  }))
  await writeFile(join(path, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
  await writeFile(join(path, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

async function writeJson(path: string, mediaType: string, json: object): Promise<object> {
  return writeBlob(path, mediaType, Buffer.from(JSON.stringify(json)))
}

async function writeBlob(path: string, mediaType: string, bytes: Buffer): Promise<object> {
  const digest = digestOf(bytes)
  await writeFile(join(path, 'blobs', digest.replace(':', '/')), bytes)
  return { mediaType, digest, size: bytes.length }
}
