// The example image, from what the set-up has built.

import { resolve } from 'node:path'
import { buildImage, openPlatformBlobs, type KernelFlavour } from '../src/image/index.ts'

export async function buildHello(
  output: string,
  kernelFlavour: KernelFlavour = 'standard',
): ReturnType<typeof buildImage> {
  return buildImage({
    source: { kind: 'directory', path: resolve('build/hello/rootfs') },
    blobs: await openPlatformBlobs(resolve('build/blobs'), { kernelFlavour }),
    config: { entrypoint: ['/hello'] },
    output,
  })
}
