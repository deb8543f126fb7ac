// Builds enclave images from a root directory, a container image or a Dockerfile, reproducibly and
// without privileges.

export { buildImage, type BuildOptions } from './build-image.ts'
export type { DirectoryOptions, Owner } from './directory-source.ts'
export type { ImageSource } from './open-source.ts'
export { KERNEL_FLAVOURS, type KernelFlavour } from './kernel-flavour.ts'
export { openPlatformBlobs, type BlobOverrides, type PlatformBlobs } from './platform-blobs.ts'
export type { Progress } from './progress.ts'
export type { ImageConfig } from './run-config.ts'
