// The example image, from what the set-up has built.

import { resolve } from 'node:path'
import { buildImage, openPlatformBlobs } from '../src/image/index.ts'

export async function buildHello(output: string): ReturnType<typeof buildImage> {
  return buildImage({
    source: { kind: 'directory', path: resolve('build/hello/rootfs') },
    blobs: await openPlatformBlobs(resolve('build/blobs'), {}),
    config: { entrypoint: ['/hello'] },
    output,
  })
}
