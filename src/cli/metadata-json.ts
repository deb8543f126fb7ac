// An image's metadata as nitro-cli prints them, in describe-eif and describe-enclaves --metadata alike:
// the keys of the format, then the user's own, which cannot stand in for those.

import type { EifMetadata } from '../eif/index.ts'

export function metadataJson({ build, dockerInfo, custom }: EifMetadata): object {
  const own = {
    BuildTime: build.buildTime,
    BuildTool: build.buildTool,
    BuildToolVersion: build.buildToolVersion,
    OperatingSystem: build.operatingSystem,
    KernelVersion: build.kernelVersion,
    ...(build.kernelFlavour !== undefined && { KernelFlavour: build.kernelFlavour }),
    DockerInfo: dockerInfo,
  }
  return { ...own, ...customKeys(custom), ...own }
}

/** In the order of their names. */
function customKeys(custom: unknown): object {
  if (typeof custom !== 'object' || custom === null || Array.isArray(custom)) return {}
  return Object.fromEntries(Object.entries(custom).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
