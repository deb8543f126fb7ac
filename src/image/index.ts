// Builds enclave images from a directory or an OCI image, reproducibly and without privileges.

export { buildImage, type BuildOptions, type ImageSource } from './build-image.ts'
export { openPlatformBlobs, type BlobOverrides, type PlatformBlobs } from './platform-blobs.ts'
export type { ImageConfig } from './run-config.ts'
