// A machine as data. Its files and channels are descriptors that QEMU inherits: it needs no path
// on the host, and what was measured through a descriptor is what it starts.

import type { Accelerator } from './accelerator.ts'

export interface MachineSpec {
  readonly accelerator: Accelerator
  readonly memoryMib: number
  /** In huge pages of 2 MiB. */
  readonly hugePages?: boolean
  readonly cpuCount: number
  /** Host CPUs that QEMU may run on; empty: any. */
  readonly cpuIds: readonly number[]
  /** Passed to the kernel byte for byte: QEMU appends nothing. */
  readonly cmdline: string
  /** With the NSM card beside the vsock card. */
  readonly nsmCard: boolean
  readonly serialPort: SerialPort
}

/**
 * `console`: its output is the enclave's console, in debug mode. `dropped`: QEMU drops its output, so
 * that a stock AWS image, whose init cannot do without /dev/console, may write there. Else there is none.
 */
export type SerialPort = 'none' | 'dropped' | 'console'

/** The child's descriptor numbers; `machine.ts` fills them in this order. */
export const machineFds = {
  ...{ qmp: 3, vsock: 4, kernel: 5, initrd: 6 },
  // Each only where the machine has one.
  ...{ console: 7, nsm: 8 },
} as const
