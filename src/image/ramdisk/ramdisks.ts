// The two ramdisks of an image, in the layout of nitro-cli (EIF of aws-nitro-enclaves-cli 1.5.0): the
// platform's, which is the same for every application, and the application's.

import { contentOfBytes, type Content } from '../../eif/index.ts'
import { bytesOfName } from '../tree/byte-name.ts'
import { cpioOf } from './cpio.ts'
import { encodeLines, encodeRunConfig, type RunConfig } from '../config/run-config.ts'
import { directory, file, flatten, type Directory, type TreeNode } from '../tree/tree.ts'

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

/**
 * Ramdisk 1: `cloister.yaml`, `cmd`, `env`, the root file system under `rootfs/`, and last, because
 * archives are in the order of names, `unpacked.json`.
 */
export function applicationRamdisk(rootfs: Directory, config: RunConfig): Content {
  const contents = directory(0o755, [
    ['cloister.yaml', file(contentOfBytes(encodeRunConfig(config)))],
    ['cmd', file(contentOfBytes(encodeLines([...config.entrypoint, ...config.cmd])))],
    ['env', file(contentOfBytes(encodeLines(config.env)))],
    ['rootfs', withMountPoints(rootfs)],
  ])
  contents.entries.set('unpacked.json', file(contentOfBytes(encodePromise(contents))))
  return cpioOf(contents)
}

/**
 * What the agent counts before it starts the app (enclave-images/agent/src/completeness.rs): a kernel
 * that runs out of memory while it unpacks leaves out the rest in silence.
 */
function encodePromise(contents: Directory): Uint8Array {
  const names = [...contents.entries.keys()]
  const promise = { version: 1, names, entries: 0, bytes: 0 }
  for (const { node } of flatten(contents)) {
    promise.entries += 1
    promise.bytes += sizeOf(node)
  }
  return encodeLines([JSON.stringify(promise)])
}

/** As lstat has it; directories do not count. */
function sizeOf(node: TreeNode): number {
  if (node.kind === 'file') return node.content.size
  return node.kind === 'symlink' ? bytesOfName(node.target).length : 0
}

function withMountPoints(rootfs: Directory): Directory {
  const entries = new Map(rootfs.entries)
  for (const name of MOUNT_POINTS) if (!entries.has(name)) entries.set(name, directory())
  return { ...rootfs, entries }
}
