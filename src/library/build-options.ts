// The flags of build-enclave, checked and turned into what the builder takes.

import { fileURLToPath } from 'node:url'

import { CloisterError, check, reasonOf, withHint } from '../errors.ts'
import { parseCustomMetadata, type Architecture } from '../eif/index.ts'
import { makeDirectory, namingFile, readFileArgument } from '../files/index.ts'
import {
  MAX_ID,
  openPlatformBlobs,
  type BuildOptions,
  type DirectoryOptions,
  type ImageConfig,
  type ImageSource,
} from '../image/index.ts'
import { measuredPart } from '../manifest/index.ts'
import type { BuildFlags } from './build-flags.ts'
import { defined } from './defined.ts'
import { findManifest, runOf, withManifest, type FoundManifest } from './manifest-options.ts'

/** AWS's names, and those of OCI platforms. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  x86_64: 'x86_64',
  amd64: 'x86_64',
  aarch64: 'aarch64',
  arm64: 'aarch64',
}

/** The flags, with what the files say that they name. */
export interface BuildInputs {
  readonly flags: BuildFlags
  readonly manifest?: FoundManifest
  /** JSON. */
  readonly metadata?: Uint8Array
  /** Seconds since 1970. */
  readonly buildTime: number
}

/**
 * Reads what the flags name, and the build time of the environment.
 *
 * @throws ERR_CLI_ARGUMENT, ERR_FILE_INPUT, ERR_MANIFEST_YAML, ERR_MANIFEST_FIELD
 */
export async function readInputs(flags: BuildFlags): Promise<BuildInputs> {
  const { metadata } = flags
  return {
    flags,
    ...defined({ manifest: await findManifest(flags) }),
    ...(metadata !== undefined && { metadata: readFileArgument('--metadata', metadata) }),
    buildTime: readBuildTime(process.env['SOURCE_DATE_EPOCH']),
  }
}

/** @throws ERR_CLI_ARGUMENT, ERR_IMAGE_BLOBS, ERR_EIF_METADATA */
export async function buildOptions({
  flags: given,
  manifest,
  metadata,
  buildTime,
}: BuildInputs): Promise<Omit<BuildOptions, 'output' | 'signer'>> {
  const flags = manifest === undefined ? given : withManifest(given, manifest)
  const { kernelFlavour, kernel, init, cmdline, name, version, times } = flags
  const overrides = {
    ...defined({ kernelFlavour, kernel, init, cmdline, architecture: ARCHITECTURES[flags.arch] }),
  }
  return {
    source: sourceOf(flags),
    blobs: await openPlatformBlobs(flags.blobs ?? defaultBlobs(), overrides),
    config: manifest === undefined ? configOf(flags) : runOf(configOf(flags), manifest.text),
    ...(manifest !== undefined && { manifest: measuredPart(manifest.text) }),
    directory: directoryOptions(flags),
    ...defined({ name, version, times, root: flags.root }),
    ...(metadata !== undefined && { customMetadata: customMetadata(metadata, flags.metadata) }),
    buildTime,
  }
}

/** @param path - Of the file with these bytes, for errors. */
function customMetadata(bytes: Uint8Array, path = ''): unknown {
  try {
    return parseCustomMetadata(bytes)
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error
    const hint = 'Give --metadata a file with one JSON value of at most 4096 bytes.'
    throw withHint(namingFile(`--metadata: ${path}`, error), hint)
  }
}

function sourceOf({ dockerUri, dockerDir, rootfs }: BuildFlags): ImageSource {
  if (rootfs !== undefined && dockerUri === undefined && dockerDir === undefined) {
    return { kind: 'directory', path: rootfs }
  }
  if (rootfs === undefined && dockerDir !== undefined) {
    return { kind: 'dockerfile', directory: dockerDir, ...defined({ name: dockerUri }) }
  }
  if (rootfs === undefined && dockerUri !== undefined) {
    return { kind: 'image', reference: dockerUri }
  }
  throw new CloisterError(
    'ERR_CLI_ARGUMENT',
    'give one of --docker-uri, --docker-dir and --rootfs (image, dockerDir and rootfs of the library)',
  )
}

function directoryOptions({ owner, modes }: BuildFlags): DirectoryOptions {
  if (owner === undefined) return { modes }
  const [, uid, gid] = /^(\d{1,10}):(\d{1,10})$/.exec(owner) ?? []
  const ids = { uid: Number(uid), gid: Number(gid) }
  const isValid = ids.uid <= MAX_ID && ids.gid <= MAX_ID
  check(isValid, 'ERR_CLI_ARGUMENT', `--owner ${owner} is not UID:GID in numbers`)
  return { modes, owner: ids }
}

function configOf({ entrypoint, cmd, env, workdir, user }: BuildFlags): Partial<ImageConfig> {
  return defined({ entrypoint, cmd, env, workdir, user })
}

/** Seconds since 1970: https://reproducible-builds.org/specs/source-date-epoch/ */
function readBuildTime(epoch: string | undefined): number {
  const text = epoch === undefined || epoch === '' ? '0' : epoch
  check(/^\d{1,11}$/.test(text), 'ERR_CLI_ARGUMENT', 'SOURCE_DATE_EPOCH is not a number of seconds')
  return Number(text)
}

/** Where nitro-cli would look, else what the set-up built. */
export function defaultBlobs(): string {
  const ours = fileURLToPath(new URL('../../build/blobs', import.meta.url))
  return process.env['NITRO_CLI_BLOBS'] ?? ours
}

/**
 * `NITRO_CLI_ARTIFACTS`, where nitro-cli keeps what it makes on the way, is where temporary files go.
 * @throws ERR_FILE_TEMPORARY when it cannot be made
 */
export function useArtifactsDirectory(env: NodeJS.ProcessEnv): void {
  const directory = env['NITRO_CLI_ARTIFACTS']
  if (directory === undefined || env['TMPDIR'] !== undefined) return
  try {
    makeDirectory(directory)
  } catch (cause) {
    const message = `cannot create the directory of NITRO_CLI_ARTIFACTS, ${directory}: ${reasonOf(cause)}`
    throw new CloisterError('ERR_FILE_TEMPORARY', message, {
      ...{ cause, details: { directory } },
      hint: 'Set NITRO_CLI_ARTIFACTS, or TMPDIR, to a directory that this user may write to.',
    })
  }
  // Also for skopeo and buildah, which are started later.
  env['TMPDIR'] = directory
}
