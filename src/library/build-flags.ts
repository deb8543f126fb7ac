// What the options of build-enclave were given.

import type { KernelFlavour, RootKind, TimesRule } from '../image/index.ts'

export interface SigningFlags {
  readonly signingCertificate?: string
  readonly privateKey?: string
  readonly privateKeyPasswordFile?: string
  readonly kmsEndpoint?: string
  readonly tpm?: string
}

export interface BuildFlags extends SigningFlags {
  readonly dockerUri?: string
  readonly dockerDir?: string
  readonly rootfs?: string
  readonly arch: string
  readonly owner?: string
  readonly modes: 'keep' | 'git'
  readonly times?: TimesRule
  readonly quiet?: boolean
  readonly outputFile?: string
  readonly dryRun?: boolean
  readonly provenance?: string
  readonly provenanceKey?: string
  readonly name?: string
  /** commander keeps `version` for itself on the root command only. */
  readonly version?: string
  readonly metadata?: string
  /** `false`: --no-manifest. */
  readonly manifest?: string | false
  readonly blobs?: string
  readonly kernelFlavour?: KernelFlavour
  readonly kernel?: string
  readonly root?: RootKind
  readonly init?: string
  readonly cmdline?: string
  readonly entrypoint?: string[]
  readonly cmd?: string[]
  readonly env?: string[]
  readonly workdir?: string
  readonly user?: string
}
