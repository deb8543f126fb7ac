// What a new keeper is asked to do. It travels as JSON over the keeper's IPC channel.

import type { Accelerator } from '../vmm/index.ts'
import type { PortLists, VsockKind } from '../vsock/index.ts'
import type { Directories } from './directories.ts'

/** What an enclave is to be. Its record keeps it, with the name and the CID that it got. */
export interface LaunchDescription {
  /** Absolute path. */
  readonly eifPath: string
  readonly name: string
  readonly memoryMib: number
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
  /** Extended into PCR3 as AWS does with an IAM role's ARN. */
  readonly role?: string
  /** How long the guest may take to its heartbeat, ms. */
  readonly bootTimeoutMs: number
}

export interface LaunchRequest {
  readonly description: LaunchDescription
  readonly directories: Directories
  readonly programs: Programs
}

export interface Programs {
  readonly qemu: string
  readonly vsockCard: string
  readonly nsmCard: string
}
