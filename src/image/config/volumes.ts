// The directories that an image declares as volumes (image-spec config.md, `Volumes`): the agent gives
// each a file system of its own (enclave-images/agent/src/volumes.rs).

import { posix } from 'node:path'

import { check } from '../../errors.ts'

/** More is a mistake: each is a mount. */
const MAX_VOLUMES = 64
/** PATH_MAX, with its end. */
const MAX_PATH_BYTES = 4095

/**
 * Absolute, each once, and sorted, so that a directory precedes those in it.
 * @throws ERR_IMAGE_CONFIG
 */
export function canonicalVolumes(volumes: readonly string[]): readonly string[] {
  const paths = new Set(volumes.map(canonicalVolume))
  checkConfig(paths.size <= MAX_VOLUMES, `the image has ${String(paths.size)} volumes`)
  return [...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

/** Container runtimes take a relative path as one from the root. */
function canonicalVolume(volume: string): string {
  const isText = volume !== '' && !/[\0\n]/.test(volume)
  checkConfig(isText && Buffer.byteLength(volume) <= MAX_PATH_BYTES, 'a volume is not a path')
  const path = posix.resolve('/', volume)
  checkConfig(path !== '/', 'the root cannot be a volume')
  return path
}

function checkConfig(condition: boolean, problem: string): void {
  check(condition, 'ERR_IMAGE_CONFIG', problem)
}
