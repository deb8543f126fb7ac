// What QEMU says of its machine (QMP, qapi/run-state.json, machine.json and qom.json). QEMU may be its
// guest's by now: only what is expected, in the expected form, is passed on.

import { setTimeout as sleep } from 'node:timers/promises'
import type { QmpClient } from './qmp.ts'

export interface MachineReport {
  /** RunState of QEMU: `running`, `paused`, `internal-error`, … */
  readonly status: string
  /** Threads of the host that run the guest's CPUs. */
  readonly cpuThreads: readonly number[]
  readonly memoryBytes: number
  /** Names of QEMU's device models: what the guest sees beside CPUs, memory and interrupts. */
  readonly devices: readonly string[]
}

const TIMEOUT_MS = 1500
const MAX_CPUS = 1024
const MAX_DEVICES = 64
/** Where QEMU keeps devices without an id. */
const DEVICES = '/machine/peripheral-anon'

type Fields = Readonly<Record<string, unknown>>

/** Undefined when QEMU does not answer within a moment, or not as it should. */
export async function reportMachine(qmp: QmpClient): Promise<MachineReport | undefined> {
  try {
    return await Promise.race([ask(qmp), sleep(TIMEOUT_MS, undefined, { ref: false })])
  } catch {
    return undefined
  }
}

async function ask(qmp: QmpClient): Promise<MachineReport> {
  const [status, cpus, memory, devices] = await Promise.all([
    qmp.execute('query-status'),
    qmp.execute('query-cpus-fast'),
    qmp.execute('query-memory-size-summary'),
    qmp.execute('qom-list', { path: DEVICES }),
  ])
  return {
    status: word(fieldsOf(status)['status']),
    cpuThreads: listOf(cpus, MAX_CPUS).map((cpu) => count(fieldsOf(cpu)['thread-id'])),
    memoryBytes: count(fieldsOf(memory)['base-memory']),
    devices: listOf(devices, MAX_DEVICES).flatMap((entry) => modelOf(fieldsOf(entry)['type'])),
  }
}

/** `child<MODEL>` of a device; other properties are not devices. */
function modelOf(type: unknown): readonly string[] {
  const [, model] = /^child<(.*)>$/.exec(word(type)) ?? []
  return model === undefined ? [] : [model]
}

function listOf(value: unknown, max: number): readonly unknown[] {
  if (Array.isArray(value) && value.length <= max) return value
  throw new TypeError('not a list')
}

function fieldsOf(value: unknown): Fields {
  if (typeof value === 'object' && value !== null) return value as Fields
  throw new TypeError('not an object')
}

function word(value: unknown): string {
  if (typeof value === 'string' && /^[\w<>.-]{1,64}$/.test(value)) return value
  throw new TypeError('not a word')
}

function count(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number
  throw new TypeError('not a number')
}
