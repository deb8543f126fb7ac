// The metadata section: aws-nitro-enclaves-image-format 0.5.0. Compact JSON in AWS's key order. It is in
// the CRC but in no PCR, so nothing in it is attested: treat it as a label.

import { check } from '../errors.ts'
import { parseExactJson } from '../exact-json.ts'
import { encodeAwsJson } from './aws-json.ts'

export interface BuildMetadata {
  /** RFC 3339. */
  readonly buildTime: string
  readonly buildTool: string
  readonly buildToolVersion: string
  readonly operatingSystem: string
  readonly kernelVersion: string
  /** A key of our own, after AWS's; absent when another tool or another kernel made the image. */
  readonly kernelFlavour?: string
}

export interface EifMetadata {
  readonly imageName: string
  readonly imageVersion: string
  readonly build: BuildMetadata
  /** JSON; AWS's builder puts `docker image inspect` here. Numbers that were read are `JsonNumber`s. */
  readonly dockerInfo: unknown
  /** JSON of the user. Numbers that were read are `JsonNumber`s: their text as it was written. */
  readonly custom: unknown
}

type Json = Readonly<Record<string, unknown>>

const CODE = 'ERR_EIF_METADATA'
/** AWS's reader (serde_json) stops at a depth of 128; it has no bound on the number of values. */
const BOUNDS = {
  maxDepth: 127,
  maxItems: 1_000_000,
  code: CODE,
  name: 'the metadata section',
} as const
/** What nitro-cli takes. */
const MAX_CUSTOM_BYTES = 4096

/**
 * The user's metadata, one level deep in the section.
 * @param json - UTF-8 JSON of at most 4096 bytes.
 * @throws ERR_EIF_METADATA
 */
export function parseCustomMetadata(json: Uint8Array): unknown {
  check(json.length <= MAX_CUSTOM_BYTES, CODE, 'the custom metadata has more than 4096 bytes', {
    details: { size: json.length, limit: MAX_CUSTOM_BYTES },
  })
  const bounds = { ...BOUNDS, maxDepth: BOUNDS.maxDepth - 1, name: 'the custom metadata' }
  return parseExactJson(json, bounds)
}

/**
 * UTF-8 JSON, without a newline.
 * @throws ERR_EIF_METADATA when AWS's reader could not read it
 */
export function encodeMetadata(metadata: EifMetadata): Uint8Array {
  const { build } = metadata
  const { kernelFlavour } = build
  // In AWS's order, not sorted; what is below these keys is.
  const buildJson = object([
    ['BuildTime', build.buildTime],
    ['BuildTool', build.buildTool],
    ['BuildToolVersion', build.buildToolVersion],
    ['OperatingSystem', build.operatingSystem],
    ['KernelVersion', build.kernelVersion],
    ...(kernelFlavour === undefined ? [] : [['KernelFlavour', kernelFlavour] as const]),
  ])
  const [name, version, docker, custom] = object([
    ['ImageName', metadata.imageName],
    ['ImageVersion', metadata.imageVersion],
    ['DockerInfo', metadata.dockerInfo ?? null],
    ['CustomMetadata', metadata.custom ?? null],
  ])
  const json = [name, version, `"BuildMetadata":{${buildJson.join(',')}}`, docker, custom]
  return new TextEncoder().encode(`{${json.join(',')}}`)
}

function object(entries: readonly (readonly [string, unknown])[]): readonly string[] {
  return entries.map(([key, value]) => `"${key}":${encodeAwsJson(value)}`)
}

/**
 * Decodes the section; as in AWS's reader all five keys must be there.
 * @throws ERR_EIF_METADATA
 */
export function decodeMetadata(bytes: Uint8Array): EifMetadata {
  const json = readObject(parseExactJson(bytes, BOUNDS), 'metadata')
  const build = readObject(json['BuildMetadata'], 'BuildMetadata')
  for (const key of ['DockerInfo', 'CustomMetadata']) {
    check(Object.hasOwn(json, key), 'ERR_EIF_METADATA', `no ${key}`, { details: { key } })
  }
  return {
    imageName: readText(json, 'ImageName'),
    imageVersion: readText(json, 'ImageVersion'),
    build: {
      buildTime: readText(build, 'BuildTime'),
      buildTool: readText(build, 'BuildTool'),
      buildToolVersion: readText(build, 'BuildToolVersion'),
      operatingSystem: readText(build, 'OperatingSystem'),
      kernelVersion: readText(build, 'KernelVersion'),
      ...(Object.hasOwn(build, 'KernelFlavour') && {
        kernelFlavour: readText(build, 'KernelFlavour'),
      }),
    },
    dockerInfo: json['DockerInfo'],
    custom: json['CustomMetadata'],
  }
}

function readObject(value: unknown, key: string): Json {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  check(isObject, 'ERR_EIF_METADATA', `${key} is not an object`, { details: { key } })
  return value as Json
}

function readText(json: Json, key: string): string {
  const value = json[key]
  check(typeof value === 'string', 'ERR_EIF_METADATA', `${key} is not a string`, {
    details: { key },
  })
  return value
}
