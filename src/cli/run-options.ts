// The settings of run-enclave, from its flags or its --config file.

import type { VsockKind } from '../vsock/index.ts'
import type { CgroupUse, RestartRule } from '../enclaves/index.ts'
import type { Publication } from '../network/index.ts'
import type { Accelerator } from '../vmm/index.ts'

export interface RunOptions {
  readonly eifPath?: string
  readonly memory?: number
  readonly hugePages?: boolean
  readonly cpuCount?: number
  readonly cpuIds?: readonly number[]
  readonly enclaveCid?: number
  readonly enclaveName?: string
  readonly debugMode?: boolean
  readonly attachConsole?: boolean
  readonly config?: string
  readonly accelerator: Accelerator | 'auto'
  readonly role?: string
  readonly configData?: string
  readonly restart?: RestartRule
  readonly attach?: boolean
  readonly stopTimeout?: number
  readonly parentPorts?: string
  readonly guestPorts?: string
  readonly vsock?: VsockKind
  readonly egress?: string
  readonly dns?: readonly string[]
  readonly publish?: readonly Publication[]
  readonly cgroup?: CgroupUse
  readonly bootTimeout: number
  readonly waitPort?: number
}
