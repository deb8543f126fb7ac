// The metadata section: aws-nitro-enclaves-image-format 0.5.0. Compact JSON in AWS's key order. It is in
// the CRC but in no PCR, so nothing in it is attested: treat it as a label.

import { DOCUMENT_BOUNDS, parseBoundedJson } from '../bounded-json.ts'
import { check } from '../errors.ts'

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
  /** JSON; AWS's builder puts `docker image inspect` here. */
  readonly dockerInfo: unknown
  /** JSON of the user. */
  readonly custom: unknown
}

type Json = Readonly<Record<string, unknown>>

const BOUNDS = {
  ...DOCUMENT_BOUNDS,
  code: 'ERR_EIF_METADATA',
  name: 'the metadata section',
} as const

/** UTF-8 JSON, without a newline. */
export function encodeMetadata(metadata: EifMetadata): Uint8Array {
  const { build } = metadata
  const json = {
    ImageName: metadata.imageName,
    ImageVersion: metadata.imageVersion,
    BuildMetadata: {
      BuildTime: build.buildTime,
      BuildTool: build.buildTool,
      BuildToolVersion: build.buildToolVersion,
      OperatingSystem: build.operatingSystem,
      KernelVersion: build.kernelVersion,
      ...(build.kernelFlavour !== undefined && { KernelFlavour: build.kernelFlavour }),
    },
    DockerInfo: metadata.dockerInfo ?? null,
    CustomMetadata: metadata.custom ?? null,
  }
  return new TextEncoder().encode(JSON.stringify(json))
}

/**
 * Decodes the section; as in AWS's reader all five keys must be there.
 * @throws ERR_EIF_METADATA
 */
export function decodeMetadata(bytes: Uint8Array): EifMetadata {
  const json = readObject(parseBoundedJson(bytes, BOUNDS), 'metadata')
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
  check(typeof value === 'string', 'ERR_EIF_METADATA', `${key} is not text`, { details: { key } })
  return value
}
