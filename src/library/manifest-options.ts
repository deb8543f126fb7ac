// What a manifest (cloister.yaml) adds to the flags of build-enclave. Flags win.

import { readFileArgument } from '../files/index.ts'
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { CloisterError } from '../errors.ts'
import type { ImageConfig } from '../image/index.ts'
import { parseManifest, type ManifestText } from '../manifest/index.ts'
import type { BuildFlags } from './build-flags.ts'
import { defined } from './defined.ts'

/** Where `--docker-dir` has its manifest, beside the Dockerfile. */
const FILE = 'cloister.yaml'
const MAX_BYTES = 1024 * 1024

export interface FoundManifest {
  readonly path: string
  /** As it is in the file. */
  readonly bytes: Uint8Array
  readonly text: ManifestText
}

/**
 * The manifest that `--manifest` names, else the one beside a Dockerfile. A root file system is not
 * searched: what is in it need not be its builder's, and a manifest lets lines leave.
 *
 * @throws `ERR_CLI_ARGUMENT`, `ERR_MANIFEST_YAML`, `ERR_MANIFEST_FIELD`
 */
export async function findManifest({
  manifest,
  dockerDir,
}: BuildFlags): Promise<FoundManifest | undefined> {
  const beside = dockerDir === undefined ? undefined : join(dockerDir, FILE)
  const found = beside !== undefined && existsSync(beside) ? beside : undefined
  const path = manifest ?? found
  if (path === undefined || path === false) return undefined
  const bytes = readFileArgument('--manifest', path, MAX_BYTES)
  return { path, bytes, text: await parseManifest(bytes, path) }
}

/**
 * The flags with what the manifest says where they say nothing.
 *
 * @throws `ERR_CLI_ARGUMENT` when neither says what to build from
 */
export function withManifest(flags: BuildFlags, { path, text }: FoundManifest): BuildFlags {
  const { name, version } = flags
  return {
    ...flags,
    ...sourceFlags(flags, path, text),
    name: name ?? text.name,
    version: version ?? text.version,
  }
}

function sourceFlags(
  { dockerUri, dockerDir, rootfs }: BuildFlags,
  path: string,
  { source }: ManifestText,
): Partial<BuildFlags> {
  if ((dockerUri ?? dockerDir ?? rootfs) !== undefined) return {}
  if (source === undefined)
    throw new CloisterError('ERR_CLI_ARGUMENT', `${path} names no source, and no option does`, {
      hint: 'Give --docker-uri, --docker-dir or --rootfs, or a source in the manifest.',
    })
  const below = (directory: string): string => resolve(dirname(path), directory)
  return {
    ...(source.image !== undefined && { dockerUri: source.image }),
    ...(source.rootfs !== undefined && { rootfs: below(source.rootfs) }),
    ...(source['docker-dir'] !== undefined && { dockerDir: below(source['docker-dir']) }),
  }
}

/** What runs: the flags' words over the manifest's, as theirs are over the image's. */
export function runOf(
  flags: Partial<ImageConfig>,
  { run = {} }: ManifestText,
): Partial<ImageConfig> {
  const { entrypoint, cmd, env = {}, workdir, user, volumes } = run
  const ours = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const replaced = new Set((flags.env ?? []).map((item) => item.split('=', 1)[0]))
  const kept = ours.filter((item) => !replaced.has(item.split('=', 1)[0]))
  return {
    ...defined({ entrypoint, workdir, user, volumes }),
    ...(flags.entrypoint === undefined && defined({ cmd })),
    ...flags,
    ...defined({ env: ours.length > 0 ? [...kept, ...(flags.env ?? [])] : flags.env }),
  }
}
