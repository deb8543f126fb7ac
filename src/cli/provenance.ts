// What build-enclave says of how it built an image, and the same read back as what it was given.

import { ARCHITECTURES, type BuildInputs, type BuildFlags, defined } from '../library/index.ts'
import { createHash } from 'node:crypto'
import { basename } from 'node:path'

import type { Content } from '../eif/index.ts'
import { CloisterError, check } from '../errors.ts'
import { openInputFile, writeOutputFile } from '../files/index.ts'
import { companionOf, type BuildOptions, type BuiltImage } from '../image/index.ts'
import { parseManifest } from '../manifest/index.ts'
import {
  writeProvenance,
  type BuildParameters,
  type Provenance,
  type Resource,
} from '../provenance/index.ts'
import { readFileArgument } from './arguments.ts'
import { measurementsJson } from './measurements-json.ts'

/** The key that `--provenance-key` names. */
export function provenanceKey({
  provenance,
  provenanceKey: path,
}: BuildFlags): Uint8Array | undefined {
  if (path === undefined) return undefined
  const message = '--provenance-key needs --provenance'
  check(provenance !== undefined, 'ERR_CLI_ARGUMENT', message)
  return readFileArgument('--provenance-key', path)
}

/**
 * Writes a statement to a file, whole or not at all.
 *
 * @throws `ERR_FILE_OUTPUT`, `ERR_PROVENANCE_KEY`
 */
export async function writeStatement(
  path: string,
  provenance: Provenance,
  keyPem: Uint8Array | undefined,
): Promise<void> {
  const bytes = Buffer.from(writeProvenance(provenance, keyPem))
  await writeOutputFile(path, (file) => file.write(0, bytes))
}

/** The statement about an image that was just built. */
export async function provenanceOf(
  inputs: BuildInputs,
  options: BuildOptions,
  image: BuiltImage,
): Promise<Provenance> {
  return {
    subjects: await subjectsOf(options.output, image),
    parameters: { ...parametersOf(inputs), root: image.root },
    inputs: await resourcesOf(options, image),
  }
}

/** The image's file and its PCRs. */
export async function subjectsOf(
  path: string,
  { measurements }: Pick<BuiltImage, 'measurements'>,
): Promise<readonly Resource[]> {
  const { HashAlgorithm: _, ...pcrs } = measurementsJson(measurements)
  const registers = Object.entries(pcrs).map(([name, sha384]) => ({ name, digest: { sha384 } }))
  return [{ name: basename(path), digest: { sha256: await fileDigest(path) } }, ...registers]
}

/** The kernel, the agent, the program of its companions and the container image, where there are any. */
export async function resourcesOf(
  options: Pick<BuildOptions, 'blobs' | 'manifest'>,
  { imageId }: Pick<BuiltImage, 'imageId'>,
): Promise<readonly Resource[]> {
  const image = imageId === undefined ? [] : [{ name: 'image', digest: { sha256: imageId } }]
  const { kernel, init } = options.blobs
  const parts = { kernel, init, companion: companionOf(options) }
  const files: Resource[] = []
  for (const [name, content] of Object.entries(parts)) {
    if (content === undefined) continue
    files.push({ name, digest: { sha256: await contentDigest(content) } })
  }
  return [...files, ...image]
}

function parametersOf({ flags, manifest, metadata, buildTime }: BuildInputs): BuildParameters {
  const { owner, modes, times, name, version, kernelFlavour, cmdline } = flags
  const { entrypoint, cmd, env, workdir, user } = flags
  const [architecture] = [ARCHITECTURES[flags.arch] ?? 'x86_64']
  return {
    source: sourceOf(flags, manifest),
    ...{ architecture, modes, sourceDateEpoch: buildTime },
    ...defined({ owner, name, version, kernelFlavour, cmdline }),
    ...(times === 'keep' && { times }),
    ...defined({ entrypoint, cmd, env, workdir, user }),
    ...(manifest !== undefined && { manifest: text(manifest.bytes) }),
    ...(metadata !== undefined && { metadata: text(metadata) }),
  }
}

/** As it was written: an absolute path would say where this machine has it. */
function sourceOf(
  { rootfs, dockerDir, dockerUri }: BuildFlags,
  manifest: BuildInputs['manifest'],
): BuildParameters['source'] {
  const given = defined({ rootfs, dockerDir, dockerUri })
  const declared = manifest?.text.source
  if (Object.keys(given).length > 0 || declared === undefined) return given
  const { rootfs: directory, 'docker-dir': context, image } = declared
  return defined({ rootfs: directory, dockerDir: context, dockerUri: image })
}

/** What a build is given to repeat the one that a statement tells of. */
export async function inputsOf(
  parameters: BuildParameters,
  flags: Pick<BuildFlags, 'rootfs' | 'dockerDir' | 'dockerUri' | 'blobs'>,
): Promise<BuildInputs> {
  const { source, architecture, sourceDateEpoch, manifest, metadata, ...rest } = parameters
  const isElsewhere = (flags.rootfs ?? flags.dockerDir ?? flags.dockerUri) !== undefined
  const { entrypoint, cmd, env, ...words } = rest
  return {
    flags: {
      ...words,
      ...defined({ entrypoint: copy(entrypoint), cmd: copy(cmd), env: copy(env) }),
      ...(isElsewhere ? {} : source),
      ...flags,
      arch: architecture,
    },
    ...(manifest !== undefined && { manifest: await manifestOf(manifest) }),
    ...(metadata !== undefined && { metadata: Buffer.from(metadata) }),
    buildTime: sourceDateEpoch,
  }
}

async function manifestOf(manifest: string): Promise<NonNullable<BuildInputs['manifest']>> {
  const [path, bytes] = ['cloister.yaml', Buffer.from(manifest)]
  return { path, bytes, text: await parseManifest(bytes, 'the manifest in the statement') }
}

function copy(words: readonly string[] | undefined): string[] | undefined {
  return words === undefined ? undefined : [...words]
}

function text(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    const message = 'the manifest and the metadata must be UTF-8 for a statement about the build'
    throw new CloisterError('ERR_PROVENANCE_STATEMENT', message, { cause })
  }
}

async function fileDigest(path: string): Promise<string> {
  await using file = await openInputFile(path, 'ERR_FILE_INPUT')
  return await contentDigest({ size: file.size, chunks: () => file.chunks() })
}

async function contentDigest(content: Content): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of content.chunks()) hash.update(chunk)
  return hash.digest('hex')
}
