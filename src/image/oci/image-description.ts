// What a layout or an archive says about one image: image-spec config.md, which is Docker's image
// configuration too.

import { createHash } from 'node:crypto'

import { CloisterError, check } from '../../errors.ts'
import type { Architecture } from '../../eif/index.ts'
import type { Compression } from '../archive/compression.ts'
import { asObject, asText, asTextList, type JsonObject } from './json-fields.ts'
import type { ImageConfig } from '../config/run-config.ts'

export interface ImageLayer {
  /** Digest of the uncompressed archive. */
  readonly diffId: string
  /** `undefined`: detected from the first bytes. */
  readonly compression: Compression | undefined
  /** The packed bytes, verified at their end where they have a digest of their own. */
  chunks(): AsyncIterable<Uint8Array>
}

export interface ParsedConfig {
  /**
   * Hex SHA-256 of the layers' digests and the run configuration: the same for an image however it was
   * packed, copied or converted, unlike the digest of its configuration document.
   */
  readonly id: string
  readonly config: ImageConfig
  readonly diffIds: readonly string[]
  /** A label for people and scripts: {@link dockerInfo}. */
  readonly dockerInfo: JsonObject
}

export interface ImageDescription extends ParsedConfig {
  /** From the lowest to the highest. */
  readonly layers: readonly ImageLayer[]
}

/** GOARCH, the names that OCI platforms use. */
export const PLATFORM_NAMES: Readonly<Record<Architecture, string>> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
}

/** Docker and overlayfs stop at 127. */
const MAX_LAYERS = 512

/** @throws ERR_IMAGE_ARCHITECTURE, ERR_IMAGE_LAYOUT */
export function parseConfig(json: JsonObject, architecture: Architecture): ParsedConfig {
  checkPlatform(json, architecture)
  const rootfs = asObject(json['rootfs'], 'config.rootfs')
  const diffIds = asTextList(rootfs['diff_ids'], 'config.rootfs.diff_ids')
  const config = readRunSettings(json)
  const identity = JSON.stringify([architecture, diffIds, config])
  const id = createHash('sha256').update(identity).digest('hex')
  return { id, config, diffIds, dockerInfo: dockerInfo(json, { id, diffIds }) }
}

/**
 * The shape of `docker image inspect`, from what OCI's and Docker's configurations share and a copy from
 * one to the other therefore keeps: the same however the image was packed. `Id` is
 * {@link ParsedConfig.id}, since Docker's own changes with the copy.
 */
function dockerInfo(
  json: JsonObject,
  { id, diffIds }: { readonly id: string; readonly diffIds: readonly string[] },
): JsonObject {
  const { Cmd, Entrypoint, Env, ExposedPorts, Labels, Volumes, StopSignal, User, WorkingDir } =
    asObject(json['config'] ?? {}, 'config.config')
  const collections = { Cmd, Entrypoint, Env, ExposedPorts, Labels, Volumes }
  return {
    Architecture: json['architecture'],
    Author: json['author'] ?? '',
    Config: {
      ...Object.fromEntries(Object.entries(collections).map(([key, it]) => [key, orNull(it)])),
      ...(StopSignal !== undefined && StopSignal !== '' && { StopSignal }),
      User: User ?? '',
      WorkingDir: WorkingDir ?? '',
    },
    Created: createdAt(json['created']),
    Id: `sha256:${id}`,
    Os: json['os'],
    RootFS: { Layers: diffIds, Type: 'layers' },
  }
}

/** RFC 3339 as Go writes it again when it copies an image: without zeros at the fraction's end. */
function createdAt(created: unknown): string {
  const text = typeof created === 'string' ? created : ''
  return text.replace(/(\.\d*?)0+(?=\D)/, '$1').replace(/\.(?=\D)/, '')
}

/** Writers differ in whether they leave out what is empty. */
function orNull(collection: unknown): unknown {
  const isEmpty = typeof collection !== 'object' || Object.keys(collection ?? {}).length === 0
  return isEmpty ? null : collection
}

function checkPlatform(config: JsonObject, architecture: Architecture): void {
  const actual = `${String(config['os'])}/${String(config['architecture'])}`
  const expected = `linux/${PLATFORM_NAMES[architecture]}`
  check(actual === expected, 'ERR_IMAGE_ARCHITECTURE', `the image is for ${actual}`, {
    details: { expected, actual },
  })
}

function readRunSettings(json: JsonObject): ImageConfig {
  const config = asObject(json['config'] ?? {}, 'config.config')
  // A set in Go, whose order depends on who wrote it.
  const volumes = Object.keys(asObject(config['Volumes'] ?? {}, 'Volumes')).sort()
  return {
    entrypoint: asTextList(config['Entrypoint'], 'Entrypoint'),
    cmd: asTextList(config['Cmd'], 'Cmd'),
    env: asTextList(config['Env'], 'Env'),
    workdir: asText(config['WorkingDir'] ?? '', 'WorkingDir'),
    user: asText(config['User'] ?? '', 'User'),
    ...(volumes.length > 0 && { volumes }),
  }
}

/** Each layer with its diff_id. */
export function pairLayers<T>(
  layers: readonly T[],
  diffIds: readonly string[],
): readonly (readonly [T, string])[] {
  check(
    layers.length === diffIds.length,
    'ERR_IMAGE_LAYOUT',
    'the image does not have one diff_id for each layer',
    {
      details: { layers: layers.length, diffIds: diffIds.length },
    },
  )
  check(layers.length <= MAX_LAYERS, 'ERR_IMAGE_LIMIT', 'the image has too many layers', {
    details: { layers: layers.length, limit: MAX_LAYERS },
  })
  return layers.map((layer, index) => [layer, diffIds[index] ?? ''])
}

const SHOWN_TAGS = 20

/** `found` images have the tag, out of those that `tags` name. */
export function tagError(
  tag: string | undefined,
  tags: readonly string[],
  found: number,
): CloisterError {
  const shown = tags.slice(0, SHOWN_TAGS).join(', ') + (tags.length > SHOWN_TAGS ? ', ...' : '')
  const has = tags.length === 0 ? 'its images have no names' : `it has ${shown}`
  const problem =
    tag === undefined
      ? 'there is not exactly one image, and no name was given'
      : `${found === 0 ? 'no image is' : 'more than one image is'} named ${tag}`
  return new CloisterError('ERR_IMAGE_TAG', `${problem}; ${has}`, {
    details: { tag: tag ?? null, tags },
  })
}
