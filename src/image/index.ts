// Builds enclave images from a root directory, a container image or a Dockerfile, reproducibly and
// without privileges.

export {
  buildImage,
  companionOf,
  measureBuild,
  type BuildOptions,
  type BuiltImage,
} from './build-image.ts'
export { extractImage, type ExtractedImage } from './inspect/extract-image.ts'
export { diffImages, lintImage, type ImageDifference } from './inspect/image-files.ts'
export { MAX_ID } from './tree/tree.ts'
export type { DirectoryOptions, Owner } from './sources/directory-source.ts'
export type { ImageSource } from './sources/open-source.ts'
export { TIMES_RULES, type TimesRule } from './tree/times.ts'
export { ROOT_KINDS, type RootKind } from './root/root-kind.ts'
export { KERNEL_FLAVOURS, type KernelFlavour } from './ramdisk/kernel-flavour.ts'
export {
  openPlatformBlobs,
  type BlobOverrides,
  type PlatformBlobs,
} from './ramdisk/platform-blobs.ts'
export type { Progress } from './progress.ts'
export type { ImageConfig } from './config/run-config.ts'
