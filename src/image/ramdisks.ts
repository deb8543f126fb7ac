// The two ramdisks of an image, in the layout of nitro-cli (EIF of aws-nitro-enclaves-cli 1.5.0): the
// platform's, which is the same for every application, and the application's.

import { contentOfBytes, type Content } from '../eif/index.ts'
import { cpioOf } from './cpio.ts'
import { encodeLines, encodeRunConfig, type RunConfig } from './run-config.ts'
import { directory, file, type Directory } from './tree.ts'

/** What the agent mounts on, and what AWS's init expects to find. */
const MOUNT_POINTS = ['dev', 'run', 'sys', 'var', 'proc', 'tmp']

/** Ramdisk 0: `dev/` and `init`. */
export function platformRamdisk(init: Content): Content {
  return cpioOf(
    directory(0o755, [
      ['dev', directory()],
      ['init', file(init, 0o755)],
    ]),
  )
}

/** Ramdisk 1: `cloister.yaml`, `cmd`, `env` and the root file system under `rootfs/`. */
export function applicationRamdisk(rootfs: Directory, config: RunConfig): Content {
  return cpioOf(
    directory(0o755, [
      ['cloister.yaml', file(contentOfBytes(encodeRunConfig(config)))],
      ['cmd', file(contentOfBytes(encodeLines([...config.entrypoint, ...config.cmd])))],
      ['env', file(contentOfBytes(encodeLines(config.env)))],
      ['rootfs', withMountPoints(rootfs)],
    ]),
  )
}

function withMountPoints(rootfs: Directory): Directory {
  const entries = new Map(rootfs.entries)
  for (const name of MOUNT_POINTS) if (!entries.has(name)) entries.set(name, directory())
  return { ...rootfs, entries }
}
