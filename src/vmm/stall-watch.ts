// A machine that will never do anything again although its QEMU runs on: a guest that halts or powers
// off without ACPI leaves every CPU in HLT with interrupts disabled, and a QEMU that cannot go on
// (KVM's internal error) stops its machine. QMP has no event for the first, so the CPUs' registers are
// looked at (HMP `info registers`: `HLT=1`, and IF, bit 9 of EFL, clear). A guest under KVM may wait so
// for a lock, for a moment: only registers that are the same twice in a row count. Not seen: a kernel
// that loops for ever after a panic (`panic=0`).

import { setTimeout as sleep } from 'node:timers/promises'
import type { QmpClient } from './qmp.ts'

/** Why a machine stands still; what QEMU calls its state otherwise. */
export type Stall = 'halted' | (string & {})

const INTERVAL_MS = 1000
const INTERRUPT_FLAG = 0x200

/**
 * Settles when the machine stands still for good; rejects when QEMU ends or does not answer as it
 * should.
 */
export async function untilStalled(qmp: QmpClient, cpuCount: number): Promise<Stall> {
  return await Promise.race([untilStopped(qmp), untilHalted(qmp, cpuCount)])
}

async function untilStopped(qmp: QmpClient): Promise<Stall> {
  await qmp.stopped
  const { status } = (await qmp.execute('query-status')) as { readonly status?: unknown }
  return String(status)
}

async function untilHalted(qmp: QmpClient, cpuCount: number): Promise<'halted'> {
  let previous: string | undefined
  for (;;) {
    await sleep(INTERVAL_MS, undefined, { ref: false })
    const halted = await haltedCpus(qmp, cpuCount)
    if (halted !== undefined && halted === previous) return 'halted'
    previous = halted
  }
}

/** The registers of all CPUs when each of them waits for an interrupt that cannot come. */
async function haltedCpus(qmp: QmpClient, cpuCount: number): Promise<string | undefined> {
  let all = ''
  for (let cpu = 0; cpu < cpuCount; cpu++) {
    const args = { 'command-line': 'info registers', 'cpu-index': cpu }
    const registers = String(await qmp.execute('human-monitor-command', args))
    if (!isHalted(registers)) return undefined
    all += registers
  }
  return all
}

function isHalted(registers: string): boolean {
  const [, flags] = /\b[ER]FL=([0-9a-f]+)/.exec(registers) ?? []
  const masked = flags !== undefined && (Number.parseInt(flags, 16) & INTERRUPT_FLAG) === 0
  return masked && /\bHLT=1\b/.test(registers)
}
