// What a new keeper is asked to do. It travels as JSON over the keeper's IPC channel.

import type { EgressPolicy } from '../manifest/index.ts'
import type { Publication } from '../network/index.ts'
import type { Accelerator } from '../vmm/index.ts'
import type { PortLists, VsockKind } from '../vsock/index.ts'
import type { Directories } from './directories.ts'

/** What an enclave is to be. Its record keeps it, with the name and the CID that it got. */
export interface LaunchDescription {
  /** Absolute path. */
  readonly eifPath: string
  readonly name: string
  readonly memoryMib: number
  /** In huge pages of the host; absent: no. */
  readonly hugePages?: true
  readonly cpuCount: number
  /** Host CPUs to run on; empty: any. */
  readonly cpuIds: readonly number[]
  /** The guest's CID; 0: chosen by the keeper. */
  readonly cid: number
  readonly debug: boolean
  readonly accelerator: Accelerator
  /** Open beside the reserved ones. */
  readonly ports: PortLists
  readonly vsock: VsockKind
  /** Limits by control groups; `auto` when it is absent. */
  readonly cgroup?: CgroupUse
  /** Extended into PCR3 as AWS does with an IAM role's ARN. */
  readonly role?: string
  /** Whether it is started again when it ends; `no` when it is absent. */
  readonly restart?: RestartRule
  /** What --config-data gave it, which the launch request has. */
  readonly configData?: ConfigFacts
  /** How long the guest may take to its heartbeat, ms. */
  readonly bootTimeoutMs: number
}

/** When an enclave that has ended, unasked, is started again. */
export const restartRules = ['no', 'on-failure', 'always'] as const
export type RestartRule = (typeof restartRules)[number]

/** Limits where this host lets us set them, no start without them, or none. */
export const cgroupUses = ['auto', 'required', 'off'] as const
export type CgroupUse = (typeof cgroupUses)[number]

/** What stays known of a configuration. */
export interface ConfigFacts {
  /** What PCR16 holds, in hexadecimal. */
  readonly pcr16: string
  /** Length of all contents together. */
  readonly bytes: number
  /** Names of the files; absent where it is one file. */
  readonly names?: readonly string[]
}

export interface LaunchRequest {
  readonly description: LaunchDescription
  /** The configuration for the guest as it is measured (config-data.ts), in base64. */
  readonly configData?: string
  readonly network?: NetworkRequest
  readonly directories: Directories
  readonly programs: Programs
}

/** What the operator says about an enclave's network, where its image has one. */
export interface NetworkRequest {
  /** Rules beside the image's: both must allow. */
  readonly egress?: EgressPolicy
  /** `address:port` each; absent: the host's. */
  readonly resolvers?: readonly string[]
  /** Ports of the guest that are reached at this host. */
  readonly publications?: readonly Publication[]
}

export interface Programs {
  readonly qemu: string
  readonly vsockCard: string
  readonly nsmCard: string
  readonly networkCard: string
}
