// The roots that --root and --aws-root name, and how policies name them.

import { awsNitroRootG1 } from '@cloister/attestation'
import { rootDigest } from '../kms/index.ts'
import { readRoots } from './read-roots.ts'

export interface RootFlags {
  readonly root: readonly string[]
  readonly awsRoot?: boolean
}

/** DER; AWS's first. */
export function trustedRoots({ root, awsRoot }: RootFlags): readonly Uint8Array[] {
  const files = root.flatMap(readRoots)
  return awsRoot === true ? [awsNitroRootG1, ...files] : files
}

/** The different values of `cloister:RecipientAttestation:RootSha256` that these roots have. */
export function trustedDigests(flags: RootFlags): readonly string[] {
  return [...new Set(trustedRoots(flags).map(rootDigest))]
}
