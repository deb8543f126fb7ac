// What a valid cloister.yaml says, as docs/manifest.schema.json has it.

import type { EgressText } from './egress.ts'
import type { IngressText } from './ingress.ts'
import type { TlsPort } from './tls-ports.ts'

/** `all`, or beginnings of lines. */
export type DeclaredLines = 'all' | readonly string[]

export interface ManifestText {
  readonly cloister: 1
  readonly name: string
  readonly version: string
  readonly source?: {
    readonly rootfs?: string
    readonly 'docker-dir'?: string
    readonly image?: string
  }
  readonly run?: {
    readonly entrypoint?: readonly string[]
    readonly cmd?: readonly string[]
    readonly env?: Readonly<Record<string, string>>
    readonly workdir?: string
    readonly user?: string
    readonly volumes?: readonly string[]
  }
  readonly resources?: {
    /** MiB, or with M, G or T. */
    readonly memory?: number | string
    readonly cpus?: number
  }
  readonly ports?: readonly number[]
  readonly logs?: { readonly stdout?: DeclaredLines; readonly stderr?: DeclaredLines }
  readonly egress?: EgressText
  readonly api?: boolean
  readonly tls?: readonly TlsPort[]
  readonly ingress?: IngressText
  readonly proxy?: boolean
  readonly restart?: RestartRule
}

export type RestartRule = 'no' | 'on-failure' | 'always'
