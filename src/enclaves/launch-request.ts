// What `run-enclave` asks a new keeper to do, and what the keeper tells while it does it.
// Both travel as JSON over the keeper's IPC channel.

import type { Accelerator } from '../vmm/index.ts'
import type { ErrorData } from '../error-data.ts'
import type { PortPolicy } from '../vsock/index.ts'
import type { EnclaveRecord } from './record.ts'
import type { TimelineStep } from './timeline.ts'
import type { Directories } from './directories.ts'

export interface LaunchRequest {
  readonly directories: Directories
  readonly programs: Programs
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
  /** Open beside the reserved ones. */
  readonly ports: PortPolicy
  readonly accelerator: Accelerator
  /** Extended into PCR3 as AWS does with an IAM role's ARN. */
  readonly role?: string
  /** How long the guest may take to its heartbeat, ms. */
  readonly bootTimeoutMs: number
}

export interface Programs {
  readonly qemu: string
  readonly vsockCard: string
  readonly nsmCard: string
}

export type KeeperMessage =
  | {
      readonly type: 'running'
      readonly record: EnclaveRecord
      readonly timeline: readonly TimelineStep[]
    }
  | { readonly type: 'failed'; readonly error: ErrorData }

/** The asker's answer to `running`. Whoever goes away without it is taken not to know. */
export interface Seen {
  readonly type: 'seen'
}
