// What the volumes of an image take in the guest: our agent copies what a compressed root file system has in
// them into a tmpfs each (enclave-images/agent/src/volumes.rs). Whoever computes an image's memory cannot
// look into such a root, so `/rootfs.volumes.json` of the application ramdisk says it (docs/protocols.md).

/** All volumes together, in what they take of a tmpfs. */
export interface VolumeLoad {
  /** Files, directories and links. */
  readonly inodes: number
  /** Pages of 4 KiB with the contents of files and symbolic links. */
  readonly pages: number
  /** The most inodes and pages that one volume has: each file system has limits of its own. */
  readonly largestInodes: number
  readonly largestPages: number
}

/** Its path in the ramdisk. */
export const VOLUMES_FILE = 'rootfs.volumes.json'
/** A longer file is not ours. */
export const MAX_VOLUMES_FILE_BYTES = 4096
export const NO_VOLUMES: VolumeLoad = { inodes: 0, pages: 0, largestInodes: 0, largestPages: 0 }

/** One line of JSON. */
export function encodeVolumeLoad(load: VolumeLoad): Uint8Array {
  const { inodes, pages, largestInodes, largestPages } = load
  const json = { version: 1, inodes, pages, largestInodes, largestPages }
  return new TextEncoder().encode(`${JSON.stringify(json)}\n`)
}

/** Undefined for bytes that are not such a file: the guest still refuses to start an app without its volumes. */
export function decodeVolumeLoad(bytes: Uint8Array): VolumeLoad | undefined {
  const text = new TextDecoder().decode(bytes)
  const pattern =
    /^\{"version":1,"inodes":(\d{1,15}),"pages":(\d{1,15}),"largestInodes":(\d{1,15}),"largestPages":(\d{1,15})\}\n$/
  const match = pattern.exec(text)
  if (match === null) return undefined
  const [inodes = 0, pages = 0, largestInodes = 0, largestPages = 0] = match.slice(1).map(Number)
  return { inodes, pages, largestInodes, largestPages }
}
