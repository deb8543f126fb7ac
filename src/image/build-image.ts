// From a root file system to an enclave image. PCR0 to PCR2 are a function of the blobs, the file
// system and the run configuration alone; the whole file is one of those and the metadata.

import { basename, resolve } from 'node:path'

import {
  signEif,
  writeEif,
  type EifMetadata,
  type EifSigner,
  type WrittenEif,
} from '../eif/index.ts'
import { writeOutputFile } from '../files/index.ts'
import { readDirectorySource } from './directory-source.ts'
import { parseImageReference } from './image-reference.ts'
import { resolveUser } from './image-user.ts'
import { readOciSource } from './oci-source.ts'
import type { PlatformBlobs } from './platform-blobs.ts'
import { applicationRamdisk, platformRamdisk } from './ramdisks.ts'
import { makeRunConfig, type ImageConfig } from './run-config.ts'
import type { Directory } from './tree.ts'

export type ImageSource =
  /** A root file system in a directory of the host. */
  | { readonly kind: 'directory'; readonly path: string }
  /** `oci:DIR[:TAG]` or `oci-archive:FILE[:TAG]`. */
  | { readonly kind: 'oci'; readonly reference: string }

export interface BuildOptions {
  readonly source: ImageSource
  readonly blobs: PlatformBlobs
  /** Replaces what the image's own configuration says; `env` is added to it, by name. */
  readonly config?: Partial<ImageConfig>
  /** Path of the EIF; a file that is there is replaced at the end. */
  readonly output: string
  /** Labels, in no PCR; by default the source's name, and its id or "1.0". */
  readonly name?: string
  readonly version?: string
  readonly customMetadata?: unknown
  /** Seconds since 1970; 0 by default, so that the file is reproducible too. */
  readonly buildTime?: number
  /** Signs PCR0, which gives the image a PCR8. */
  readonly signer?: EifSigner
}

/** A source that was opened; its contents can be read until it is disposed of. */
interface OpenSource extends AsyncDisposable {
  readonly root: Directory
  readonly config: ImageConfig
  readonly name: string
  readonly version: string
}

/** The tool's name and version in the metadata. */
const BUILD_TOOL = { buildTool: 'cloister', buildToolVersion: '0.1.0' } as const

const EMPTY_CONFIG: ImageConfig = { entrypoint: [], cmd: [], env: [], workdir: '', user: '' }

/**
 * Builds an image and returns its measurements, made of the bytes as they were written.
 * @throws ERR_IMAGE_*, ERR_EIF_CMDLINE, ERR_EIF_METADATA, ERR_EIF_CONTENT, ERR_EIF_SIGNING
 */
export async function buildImage(options: BuildOptions): Promise<WrittenEif> {
  const { blobs } = options
  await using source = await openSource(options)
  const config = mergeConfig(source.config, options.config ?? {})
  const runConfig = makeRunConfig(config, await resolveUser(source.root, config.user))
  const input = {
    architecture: blobs.architecture,
    kernel: blobs.kernel,
    cmdline: blobs.cmdline,
    metadata: metadataOf(options, source),
    ramdisks: [platformRamdisk(blobs.init), applicationRamdisk(source.root, runConfig)],
  }
  return await writeOutputFile(options.output, async (file) => {
    const unsigned = await writeEif(input, file)
    if (options.signer === undefined) return unsigned
    return signEif(file.source(unsigned.size), file, options.signer)
  })
}

async function openSource({ source, blobs }: BuildOptions): Promise<OpenSource> {
  if (source.kind === 'directory') {
    return {
      root: await readDirectorySource(source.path),
      config: EMPTY_CONFIG,
      name: basename(resolve(source.path)),
      version: '1.0',
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }
  }
  const reference = await parseImageReference(source.reference)
  const image = await readOciSource(reference, blobs.architecture)
  return { ...image, name: reference.tag ?? basename(resolve(reference.path)), version: image.id }
}

/** As `docker run` does: another entrypoint drops the image's cmd, variables replace by name. */
function mergeConfig(image: ImageConfig, overrides: Partial<ImageConfig>): ImageConfig {
  const cmd = overrides.entrypoint === undefined ? image.cmd : []
  const added = overrides.env ?? []
  const names = new Set(added.map(variableName))
  const env = [...image.env.filter((item) => !names.has(variableName(item))), ...added]
  return { ...image, cmd, ...overrides, env }
}

function variableName(item: string): string {
  return item.split('=', 1)[0] ?? ''
}

function metadataOf(options: BuildOptions, source: OpenSource): EifMetadata {
  const { operatingSystem, kernelVersion } = options.blobs
  const buildTime = new Date((options.buildTime ?? 0) * 1000)
  return {
    imageName: options.name ?? source.name,
    imageVersion: options.version ?? source.version,
    build: {
      buildTime: buildTime.toISOString().replace(/\.\d{3}Z$/, '+00:00'),
      ...BUILD_TOOL,
      operatingSystem,
      kernelVersion,
    },
    dockerInfo: null,
    custom: options.customMetadata ?? null,
  }
}
