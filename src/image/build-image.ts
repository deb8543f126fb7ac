// From a root file system to an enclave image. PCR0 to PCR2 are a function of the blobs, the file
// system and the run configuration alone; the whole file is one of those and the metadata.

import {
  measureBytes,
  parseSigningCertificate,
  signEif,
  writeEif,
  type Content,
  type EifInput,
  type EifMetadata,
  type EifSigner,
  type Measurements,
  type WrittenEif,
} from '../eif/index.ts'
import { check } from '../errors.ts'
import type { MeasuredManifest } from '../manifest/index.ts'
import { writeOutputFile, type ByteSink } from '../files/index.ts'
import type { DirectoryOptions } from './sources/directory-source.ts'
import { dropAttributes, dropDevices } from './tree/drop-devices.ts'
import { dropTimes, type TimesRule } from './tree/times.ts'
import { whyNoEntry } from './config/entry-program.ts'
import { resolveUser } from './config/image-user.ts'
import { openSource, type ImageSource, type OpenSource } from './sources/open-source.ts'
import type { PlatformBlobs } from './ramdisk/platform-blobs.ts'
import { ignoreProgress, type ReportProgress } from './progress.ts'
import { applicationRamdisk, platformRamdisk, withMountPoints } from './ramdisk/ramdisks.ts'
import { chooseRoot, type RootKind } from './root/root-kind.ts'
import { squashfsOf } from './root/squashfs.ts'
import { volumeLoadOf } from './root/volume-load.ts'
import { makeRunConfig, type ImageConfig } from './config/run-config.ts'

export interface BuildOptions {
  readonly source: ImageSource
  readonly blobs: PlatformBlobs
  /** Replaces what the image's own configuration says; `env` is added to it, by name. */
  readonly config?: Partial<ImageConfig>
  /** Path of the EIF; a regular file that is there is replaced at the end. */
  readonly output: string
  /** Labels, in no PCR; by default the source's name, and its id or "1.0". */
  readonly name?: string
  readonly version?: string
  readonly customMetadata?: unknown
  /** Goes into `/cloister.yaml`, and so into PCR2. */
  readonly manifest?: MeasuredManifest
  /** Seconds since 1970; 0 by default, so that the file is reproducible too. */
  readonly buildTime?: number
  /** How owners and modes of a root directory are read. */
  readonly directory?: DirectoryOptions
  /** Modification times of its files; `zero` by default. */
  readonly times?: TimesRule
  /** How the image carries the root file system. */
  readonly root?: RootKind
  /** Receives progress, and notices of what was left out. */
  readonly report?: ReportProgress
  /** Signs PCR0, which gives the image a PCR8. */
  readonly signer?: EifSigner
}

/** Keys of a manifest with something that runs beside the app. */
const COMPANIONS = ['egress', 'ingress', 'api', 'tls'] as const

/** The tool's name and version in the metadata. */
const BUILD_TOOL = { buildTool: 'cloister', buildToolVersion: '0.1.0' } as const

/** An image as it was written. */
export interface BuiltImage extends WrittenEif {
  /** Digest of the container image's configuration, as `sha256:…`; absent for a directory. */
  readonly imageId?: string
  /** How it carries the root file system. */
  readonly root: RootKind
}

/**
 * Builds an image and returns its measurements, computed from the bytes as they are written.
 * @throws ERR_IMAGE_*, ERR_EIF_CMDLINE, ERR_EIF_METADATA, ERR_EIF_CONTENT, ERR_EIF_SIGNING
 */
export async function buildImage(options: BuildOptions): Promise<BuiltImage> {
  return withInput(options, async (input, { report, imageId, root }) => {
    const written = await writeOutputFile(options.output, async (file) => {
      const unsigned = await writeEif(input, reportWriting(file, input, report))
      if (options.signer === undefined) return unsigned
      return signEif(file.source(unsigned.size), file, options.signer)
    })
    return { ...written, root, ...(imageId !== undefined && { imageId }) }
  })
}

/**
 * The measurements of the image that {@link buildImage} would write, without a file.
 * @param certificatePem - Of the signer, whose key is not needed.
 * @throws ERR_IMAGE_*, ERR_EIF_CMDLINE, ERR_EIF_METADATA, ERR_EIF_CONTENT, ERR_EIF_CERTIFICATE
 */
export async function measureBuild(
  options: Omit<BuildOptions, 'output' | 'signer'>,
  certificatePem?: Uint8Array,
): Promise<Measurements> {
  const pcr8 = certificatePem && measureBytes(parseSigningCertificate(certificatePem).der)
  return withInput(options, async (input, { report }) => {
    const nowhere = { write: () => Promise.resolve() }
    const { measurements } = await writeEif(input, reportWriting(nowhere, input, report))
    return { ...measurements, ...(pcr8 && { pcr8 }) }
  })
}

interface BuildContext extends Pick<BuiltImage, 'imageId' | 'root'> {
  readonly report: ReportProgress
}

/** Opens what an image is made of for as long as it is used. */
async function withInput<T>(
  options: Omit<BuildOptions, 'output' | 'signer'>,
  use: (input: EifInput, context: BuildContext) => Promise<T>,
): Promise<T> {
  const { blobs } = options
  const { report = ignoreProgress, times = 'zero' } = options
  const { architecture } = blobs
  checkNetwork(options)
  const companion = companionOf(options)
  const { kind, cmdline } = chooseRoot(options.root, blobs)
  const directory = { ...options.directory, attributes: kind === 'squashfs' }
  await using source = await openSource(options.source, { architecture, directory, times, report })
  const notices = [...dropDevices(source.root), ...dropAttributes(source.root, kind)]
  if (times === 'zero') dropTimes(source.root)
  for (const text of notices) report({ step: 'notice', text })
  const config = mergeConfig(source.config, options.config ?? {})
  const user = await resolveUser(source.root, config.user)
  const runConfig = { ...makeRunConfig(config, user), ...manifestOf(options) }
  const problem = await whyNoEntry(source.root, runConfig)
  if (problem !== undefined) report({ step: 'notice', text: `the app will not start: ${problem}` })
  const tree = withMountPoints(source.root)
  await using image = kind === 'squashfs' ? await squashfsOf(tree, report) : undefined
  const root =
    image === undefined ? ({ kind: 'cpio', tree } as const) : ({ kind: 'squashfs', image } as const)
  const volumes = image && volumeLoadOf(tree, runConfig.volumes ?? [])
  const input = {
    architecture,
    kernel: blobs.kernel,
    cmdline,
    metadata: metadataOf(options, source),
    ramdisks: [
      platformRamdisk(blobs.init),
      applicationRamdisk({ root, config: runConfig, companion, ...(volumes && { volumes }) }),
    ],
  }
  return await use(input, {
    report,
    root: kind,
    ...(source.id !== undefined && { imageId: source.id }),
  })
}

/** An image without a network device would not keep what its manifest promises to the app. */
function checkNetwork({ manifest, blobs }: Pick<BuildOptions, 'manifest' | 'blobs'>): void {
  const canReach = manifest?.egress === undefined || blobs.hasTun !== false
  check(canReach, 'ERR_IMAGE_EGRESS', 'the manifest has egress rules, and the kernel has no TUN')
}

/**
 * The program that an image needs for what its manifest has beside the app, if there is anything.
 * @throws ERR_IMAGE_BLOBS when it is needed and not there
 */
export function companionOf({
  manifest,
  blobs,
}: Pick<BuildOptions, 'manifest' | 'blobs'>): Content | undefined {
  const wanted = COMPANIONS.filter((key) => manifest?.[key] !== undefined)
  if (wanted.length === 0) return undefined
  const message = `the manifest has ${wanted.join(' and ')}, for which the blobs directory has no file companion`
  check(blobs.companion !== undefined, 'ERR_IMAGE_BLOBS', message)
  return blobs.companion
}

function manifestOf({ manifest }: Pick<BuildOptions, 'manifest'>): Pick<BuildOptions, 'manifest'> {
  return manifest === undefined ? {} : { manifest }
}

/** Reports how much of the image is written, 64 times in all. */
function reportWriting(sink: ByteSink, input: EifInput, report: ReportProgress): ByteSink {
  const total = input.ramdisks.reduce((sum, { size }) => sum + size, input.kernel.size)
  let [done, reported] = [0, 0]
  return {
    async write(offset, bytes) {
      await sink.write(offset, bytes)
      done += bytes.length
      if (done - reported < total / 64) return
      reported = done
      report({ step: 'write', done: Math.min(done, total), total })
    },
  }
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

function metadataOf(
  options: Pick<BuildOptions, 'blobs' | 'buildTime' | 'name' | 'version' | 'customMetadata'>,
  source: OpenSource,
): EifMetadata {
  const { operatingSystem, kernelVersion, kernelFlavour } = options.blobs
  const buildTime = new Date((options.buildTime ?? 0) * 1000)
  return {
    imageName: options.name ?? source.name,
    imageVersion: options.version ?? source.version,
    build: {
      buildTime: buildTime.toISOString().replace(/\.\d{3}Z$/, '+00:00'),
      ...BUILD_TOOL,
      operatingSystem,
      kernelVersion,
      ...(kernelFlavour !== undefined && { kernelFlavour }),
    },
    dockerInfo: dockerInfoOf(options, source),
    custom: options.customMetadata ?? null,
  }
}

/** With the user's labels, where there are any: then it does not depend on where the image came from. */
function dockerInfoOf(
  { name, version }: Pick<BuildOptions, 'name' | 'version'>,
  { dockerInfo, repoTag }: OpenSource,
): object | null {
  if (dockerInfo === undefined) return null
  const tag = name === undefined ? repoTag : `${name}:${version ?? 'latest'}`
  return { ...dockerInfo, RepoTags: tag === undefined ? [] : [tag] }
}
