// What the registry knows about one enclave: one JSON file, replaced as a whole, so that a reader
// sees the old one or the new one.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CloisterError } from '../errors.ts'
import type { ProcessIdentity } from '../subprocess/index.ts'

export type EnclaveState = 'STARTING' | 'RUNNING' | 'TERMINATING' | 'TERMINATED'

/** Hexadecimal SHA-384 values by name: PCR0, PCR1, PCR2 and, when the image is signed, PCR8. */
export type Measurements = Readonly<Record<string, string>>

export interface EnclaveEnd {
  /** RFC 3339. */
  readonly at: string
  /** What ended first: `app`, `guest`, `QEMU`, `swtpm`, `vsock card`, `NSM card`, `keeper` or `request`. */
  readonly first: string
  /** In words. */
  readonly reason: string
  /** Exit status or signal of whatever ended first, the app's where the app did. */
  readonly exitCode?: number
  readonly signal?: string
  readonly livedMs: number
}

export interface EnclaveRecord {
  readonly version: 1
  readonly id: string
  readonly name: string
  readonly cid: number
  readonly keeper: ProcessIdentity
  /** The keeper's children, so that a killed keeper leaves nobody behind. */
  readonly processes: readonly (ProcessIdentity & { readonly name: string })[]
  readonly state: EnclaveState
  readonly createdAt: string
  readonly eifPath: string
  readonly memoryMib: number
  readonly cpuCount: number
  readonly cpuIds: readonly number[]
  readonly debug: boolean
  readonly accelerator: string
  readonly assurance: string
  readonly measurements: Measurements
  readonly imageName: string
  readonly imageVersion: string
  readonly metadata: unknown
  readonly end?: EnclaveEnd
}

export const RECORD_FILE = 'record.json'

/** The pid of whoever writes the record into this file before it is renamed. */
export function recordWriter(file: string): number | undefined {
  const [, pid] = /^record\.json\.(\d+)$/.exec(file) ?? []
  return pid === undefined ? undefined : Number(pid)
}

export function writeRecord(directory: string, record: EnclaveRecord): void {
  const path = join(directory, RECORD_FILE)
  const temporary = `${path}.${String(process.pid)}`
  try {
    writeFileSync(temporary, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true })
    throw error
  }
}

/**
 * The record in `directory`, or undefined when the enclave was removed meanwhile.
 *
 * @throws `ERR_KEEPER_RECORD` when the file is no record of this enclave.
 */
export function readRecord(directory: string): EnclaveRecord | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(join(directory, RECORD_FILE), 'utf8'))
    if (isRecord(record, basename(directory))) return record
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw damaged(directory, cause)
  }
  throw damaged(directory)
}

const states: readonly unknown[] = ['STARTING', 'RUNNING', 'TERMINATING', 'TERMINATED']
const texts = ['name', 'createdAt', 'eifPath', 'accelerator', 'assurance'] as const
const counts = ['cid', 'memoryMib', 'cpuCount'] as const

function isRecord(value: unknown, id: string): value is EnclaveRecord {
  if (typeof value !== 'object' || value === null) return false
  const record = value as Partial<Record<keyof EnclaveRecord, unknown>>
  return (
    record.version === 1 &&
    record.id === id &&
    states.includes(record.state) &&
    texts.every((key) => typeof record[key] === 'string') &&
    counts.every((key) => Number.isSafeInteger(record[key])) &&
    !String(record.name).includes('/') &&
    Array.isArray(record.cpuIds) &&
    isProcess(record.keeper) &&
    Array.isArray(record.processes) &&
    record.processes.every(isProcess)
  )
}

function isProcess(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { pid, startTime } = value as Partial<ProcessIdentity>
  return Number.isSafeInteger(pid) && Number(pid) > 0 && Number.isSafeInteger(startTime)
}

function damaged(directory: string, cause?: unknown): CloisterError {
  const path = join(directory, RECORD_FILE)
  return new CloisterError('ERR_KEEPER_RECORD', `${path} is no record of this enclave`, {
    cause,
    details: { path },
    hint: `Remove ${directory} when nothing of that enclave runs any more.`,
  })
}
