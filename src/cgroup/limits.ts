// How much an enclave's processes may use. A limit is there to hold a QEMU that a guest has taken over;
// no guest that stays in its machine comes near it.

import type { Accelerator } from '../vmm/index.ts'

const MIB = 2 ** 20

/** What one control group may use. */
export interface GroupLimits {
  readonly memoryBytes: number
  /** In processors: 1.5 is one and a half. */
  readonly cpus: number
  /** Processes and threads. */
  readonly processes: number
}

export interface MachineSize {
  readonly memoryMib: number
  readonly cpuCount: number
  readonly accelerator: Accelerator
}

/** QEMU's own memory, with its buffers for a boot; 40 to 60 MiB were measured. */
const QEMU_MIB = 192
/** The translated code and its tables; 60 to 150 MiB were measured. */
const TCG_MIB = 192
/** Page tables of QEMU and of KVM, and their bookkeeping: 1/512 each was measured. */
const PAGE_TABLES = 1 / 32

/** Of QEMU, whose memory is the guest's and its own. */
export function qemuLimits({ memoryMib, cpuCount, accelerator }: MachineSize): GroupLimits {
  const own = QEMU_MIB + (accelerator === 'tcg' ? TCG_MIB : 0)
  return {
    memoryBytes: Math.ceil(memoryMib * (1 + PAGE_TABLES) + own) * MIB,
    // One beside the vCPUs: QEMU's main thread.
    cpus: cpuCount + 1,
    processes: 64 + 2 * cpuCount,
  }
}

/**
 * Of swtpm and the cards. The vsock card holds up to 128 MiB for slow readers, and the kernel 208 KiB in
 * the socket of each of 2048 connections; the network card holds up to 128 MiB.
 */
export const otherLimits: GroupLimits = { memoryBytes: 768 * MIB, cpus: 2, processes: 64 }
