// The two ramdisks of an image, in the layout of nitro-cli (EIF of aws-nitro-enclaves-cli 1.5.0): the
// platform's, which is the same for every application, and the application's.

import {
  contentOfBytes,
  encodeVolumeLoad,
  VOLUMES_FILE,
  type Content,
  type VolumeLoad,
} from '../../eif/index.ts'
import { bytesOfName } from '../tree/byte-name.ts'
import { cpioOf } from './cpio.ts'
import { encodeLines, encodeRunConfig, type RunConfig } from '../config/run-config.ts'
import {
  directory,
  file,
  flatten,
  type Directory,
  type TreeNode,
  type UntypedMember,
} from '../tree/tree.ts'

/** What the agent mounts on, and what AWS's init expects to find. */
const MOUNT_POINTS = ['dev', 'run', 'sys', 'var', 'proc', 'tmp']

/** The file system image's member in the ramdisk (enclave-images/agent/src/image.rs). */
export const SQUASHFS_MEMBER = 'rootfs.squashfs'

/** Ramdisk 0: `dev/` and `init`. */
export function platformRamdisk(init: Content): Content {
  return cpioOf(
    directory(0o755, [
      ['dev', directory()],
      ['init', file(init, 0o755)],
    ]),
  )
}

/** The root file system of an image: a tree to unpack, or a file system image to mount. */
export type RootContents =
  | { readonly kind: 'cpio'; readonly tree: Directory }
  | { readonly kind: 'squashfs'; readonly image: Content }

/** What an application ramdisk is made of. */
export interface Application {
  readonly root: RootContents
  readonly config: RunConfig
  /** The program of what runs beside the app, where the app asks for it (enclave-images/companion). */
  readonly companion: Content | undefined
  /** What the agent copies into volumes, if it is anything. */
  readonly volumes?: VolumeLoad
}

/**
 * Ramdisk 1: `cloister.yaml`, `cmd`, `companion`, `env`, the root file system, and last, because archives are in
 * the order of names, `unpacked.json`. The root is a tree under `rootfs/`; or that is an empty mount
 * point, its image is the untyped member `rootfs.squashfs`, and `rootfs.volumes.json` says what is copied
 * out of it.
 */
export function applicationRamdisk({ root, config, companion, volumes }: Application): Content {
  const contents = directory(0o755, [
    ['cloister.yaml', file(contentOfBytes(encodeRunConfig(config)))],
    ['cmd', file(contentOfBytes(encodeLines([...config.entrypoint, ...config.cmd])))],
    ['env', file(contentOfBytes(encodeLines(config.env)))],
    ['rootfs', root.kind === 'cpio' ? root.tree : directory()],
  ])
  if (companion !== undefined) contents.entries.set('companion', file(companion, 0o755))
  if (volumes !== undefined)
    contents.entries.set(VOLUMES_FILE, file(contentOfBytes(encodeVolumeLoad(volumes))))
  const promise = encodePromise(contents, root.kind === 'squashfs' ? root.image.size : undefined)
  if (root.kind === 'squashfs') contents.entries.set(SQUASHFS_MEMBER, untyped(root.image))
  contents.entries.set('unpacked.json', file(contentOfBytes(promise)))
  return cpioOf(contents)
}

/**
 * What the agent counts before it starts the app (enclave-images/agent/src/completeness.rs): a kernel
 * that runs out of memory while it unpacks leaves out the rest in silence.
 */
function encodePromise(contents: Directory, imageBytes: number | undefined): Uint8Array {
  const names = [...contents.entries.keys()]
  const promise = {
    version: imageBytes === undefined ? 1 : 2,
    ...{ names, entries: 0, bytes: 0 },
    ...(imageBytes !== undefined && { imageBytes }),
  }
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

function untyped(content: Content): UntypedMember {
  return { kind: 'untyped', attributes: { mode: 0, uid: 0, gid: 0 }, content }
}

/** The tree with the directories that the agent mounts on, where it lacks them. */
export function withMountPoints(rootfs: Directory): Directory {
  const entries = new Map(rootfs.entries)
  for (const name of MOUNT_POINTS) if (!entries.has(name)) entries.set(name, directory())
  return { ...rootfs, entries }
}
