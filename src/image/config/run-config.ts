// What an image does at run time: `cloister.yaml` in the root of the first application ramdisk, so
// that it is measured into PCR2. Beside it lie `cmd` and `env` in the form that AWS's init reads;
// cmd is there the whole argv, since that init knows no entrypoint.

import { check } from '../../errors.ts'
import type { MeasuredManifest } from '../../manifest/index.ts'
import { canonicalVolumes } from './volumes.ts'

/** What an image asks for, in the terms of an OCI configuration (image-spec config.md). */
export interface ImageConfig {
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  /** Items `KEY=value`. */
  readonly env: readonly string[]
  /** Absolute; empty for `/`. */
  readonly workdir: string
  /** `user`, `uid`, `user:group` ...; empty for root. */
  readonly user: string
  /** Directories that are to be file systems of their own; absent: none. */
  readonly volumes?: readonly string[]
}

/** A user in numbers. */
export interface ResolvedUser {
  readonly uid: number
  readonly gid: number
  /** Supplementary groups, ascending. */
  readonly groups: readonly number[]
}

export interface RunConfig extends Omit<ImageConfig, 'user'> {
  readonly user: ResolvedUser
  /** What the application declares of itself. */
  readonly manifest?: MeasuredManifest
}

/** Docker's, for images that set none. */
const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * The configuration that goes into the image.
 * @throws ERR_IMAGE_CONFIG when there is nothing to run, or an item has a NUL or a line break
 */
export function makeRunConfig(config: ImageConfig, user: ResolvedUser): RunConfig {
  const { entrypoint, cmd } = config
  check(
    entrypoint.length + cmd.length > 0,
    'ERR_IMAGE_CONFIG',
    'the image names no program to run',
    {
      hint: 'Name the program and its arguments: --entrypoint /app --flag, or run.entrypoint in cloister.yaml.',
    },
  )
  for (const item of [...entrypoint, ...cmd, ...config.env]) {
    checkConfig(!/[\0\n]/.test(item), `an argument or variable has a NUL or a line break`)
  }
  for (const item of config.env) {
    checkConfig(/^[^=]+=/.test(item), `the variable ${item} is not KEY=value`)
  }
  const workdir = config.workdir === '' ? '/' : config.workdir
  checkConfig(/^\/[^\0\n]*$/.test(workdir), `the working directory ${workdir} is not absolute`)
  const hasPath = config.env.some((item) => item.startsWith('PATH='))
  const env = hasPath ? config.env : [DEFAULT_PATH, ...config.env]
  const volumes = canonicalVolumes(config.volumes ?? [])
  return { entrypoint, cmd, env, workdir, user, volumes }
}

/** `cloister.yaml`: one line of JSON, which is YAML. */
export function encodeRunConfig(config: RunConfig): Uint8Array {
  const { entrypoint, cmd, env, workdir, user, volumes = [], manifest } = config
  const { uid, gid, groups } = user
  const json = {
    version: 1,
    ...(manifest !== undefined && { manifest }),
    ...{ entrypoint, cmd, env, workdir },
    user: { uid, gid, groups },
    ...(volumes.length > 0 && { volumes }),
  }
  return encodeLines([JSON.stringify(json)])
}

/** AWS's `cmd` and `env` files: one item per line. */
export function encodeLines(items: readonly string[]): Uint8Array {
  return new TextEncoder().encode(items.map((item) => `${item}\n`).join(''))
}

function checkConfig(condition: boolean, problem: string): void {
  check(condition, 'ERR_IMAGE_CONFIG', problem)
}
