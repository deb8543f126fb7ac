// What the registry knows about one enclave: one JSON file, replaced as a whole, so that a reader
// sees the old one or the new one. What is known depends on the state it is in.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CloisterError } from '../errors.ts'
import type { Publication } from '../network/index.ts'
import { parseOwnJson, stringifyJson } from '../exact-json.ts'
import type { PartName, ProcessIdentity } from '../subprocess/index.ts'
import type { LaunchDescription } from './launch-request.ts'

/** Hexadecimal SHA-384 values by name: PCR0, PCR1, PCR2 and, when the image is signed, PCR8. */
export type MeasurementTexts = Readonly<Record<string, string>>

/**
 * What ended an enclave; `agent` is our PID 1 in the guest, `request` a user's or a signal, `start` one
 * that failed after a restart rule had asked for it.
 */
export type FirstToEnd = PartName | 'app' | 'agent' | 'guest' | 'keeper' | 'request' | 'start'

/** Which part of an enclave ended first, and why. */
export interface EndCause {
  readonly first: FirstToEnd
  /** In words. */
  readonly reason: string
  /** Exit status or signal of what ended first, the app's where the app did. */
  readonly exitCode?: number
  readonly signal?: string
  /** Why the kernel killed it for want of memory: its control group's limit, or the host had none. */
  readonly outOfMemory?: 'limit' | 'host'
}

export interface EnclaveEnd extends EndCause {
  /** RFC 3339. */
  readonly at: string
  /** From the request on. */
  readonly livedMs: number
  /** How long its app ran; absent when it never did, or was started by an older version. */
  readonly ranMs?: number
  /** The most that QEMU has had resident, the guest's memory included, in bytes. */
  readonly peakMemoryBytes?: number
}

/** What an image says of itself, and what was measured of it. */
export interface ImageFacts {
  readonly measurements: MeasurementTexts
  readonly name: string
  readonly version: string
  readonly metadata: unknown
}

/** What is known of every enclave. */
interface AnyRecord {
  readonly version: 2
  readonly id: string
  readonly keeper: ProcessIdentity
  /** RFC 3339. */
  readonly createdAt: string
  /** With the name and the CID that the enclave got. */
  readonly description: LaunchDescription
  /** Of an enclave that a restart rule started after another. */
  readonly restart?: RestartFacts
}

/** What one control group of an enclave may use. */
export interface GroupFacts {
  readonly memoryBytes: number
  readonly cpus: number
  readonly processes: number
  /** To be removed after its processes. */
  readonly directories: readonly string[]
}

/** The limits of an enclave, or why it has none. */
export type LimitFacts =
  | { readonly version: 1 | 2; readonly qemu: GroupFacts; readonly others: GroupFacts }
  | { readonly missing: string }

export interface RestartFacts {
  /** From 1. */
  readonly count: number
  /** Id of the enclave before. */
  readonly previous: string
  /** RFC 3339: when it is to start. */
  readonly notBefore: string
}

/** An enclave from its request until its app runs. */
export interface StartingRecord extends AnyRecord {
  readonly state: 'STARTING'
  /** Before the groups are made. */
  readonly limits?: LimitFacts
  /** The keeper's children so far, the vsock card before its guest can dial. */
  readonly processes?: LaunchFacts['processes']
}

/** What is known of an enclave once it runs. */
export interface LaunchFacts {
  /** The keeper's children, so that a killed keeper leaves none behind. */
  readonly processes: readonly (ProcessIdentity & { readonly name: PartName })[]
  /** Absent when it was started by an older version. */
  readonly limits?: LimitFacts
  /** RFC 3339: when the app had started. */
  readonly startedAt?: string
  /** Ports of the guest, and where they are reached; absent when there are none. */
  readonly published?: readonly Publication[]
  /** `software-tpm` or `hardware-tpm`. */
  readonly assurance: string
  readonly image: ImageFacts
}

/** An enclave whose app has started, and that has not ended. */
export interface RunningRecord extends AnyRecord, LaunchFacts {
  readonly state: 'RUNNING' | 'TERMINATING'
}

/** An enclave that has ended; launch facts are absent when it ended while it started. */
export interface EndedRecord
  extends AnyRecord, Partial<Omit<LaunchFacts, 'processes' | 'limits' | 'published'>> {
  readonly state: 'TERMINATED'
  readonly end: EnclaveEnd
}

export type AliveRecord = StartingRecord | RunningRecord
export type EnclaveRecord = AliveRecord | EndedRecord

/** Whether the enclave has not ended. */
export function isAlive(record: EnclaveRecord): record is AliveRecord {
  return record.state !== 'TERMINATED'
}

/** The keeper's children, as far as they are recorded. */
export function processesOf(record: EnclaveRecord): LaunchFacts['processes'] {
  return ('processes' in record && record.processes) || []
}

/** Its limits, as far as they are recorded. */
export function limitsOf(record: EnclaveRecord): LimitFacts | undefined {
  return 'limits' in record ? record.limits : undefined
}

/** The directories of its control groups. */
export function controlGroupsOf(record: EnclaveRecord): readonly string[] {
  const limits = limitsOf(record)
  if (limits === undefined || 'missing' in limits) return []
  return [...limits.qemu.directories, ...limits.others.directories]
}

/** What stays known after the end. */
export function endedRecord(record: AliveRecord, end: EnclaveEnd): EndedRecord {
  const { version, id, keeper, createdAt, description, restart } = record
  const known = {
    ...{ version, id, keeper, createdAt, description },
    ...(restart !== undefined && { restart }),
    ...{ end, state: 'TERMINATED' as const },
  }
  if (record.state === 'STARTING') return known
  const { startedAt, assurance, image } = record
  return { ...known, ...(startedAt !== undefined && { startedAt }), assurance, image }
}

/** The end of an enclave at this moment. */
export function endNow(record: AliveRecord, cause: EndCause, peakMemoryBytes?: number): EnclaveEnd {
  const now = Date.now()
  const startedAt = 'startedAt' in record ? record.startedAt : undefined
  return {
    ...cause,
    at: new Date(now).toISOString(),
    livedMs: now - Date.parse(record.createdAt),
    ...(startedAt !== undefined && { ranMs: now - Date.parse(startedAt) }),
    ...(peakMemoryBytes !== undefined && { peakMemoryBytes }),
  }
}

export const RECORD_FILE = 'record.json'

/** The pid of the process that writes the record into this file before it is renamed. */
export function recordWriter(file: string): number | undefined {
  const [, pid] = /^record\.json\.(\d+)$/.exec(file) ?? []
  return pid === undefined ? undefined : Number(pid)
}

/**
 * Writes `record.json` with mode 0600, and replaces the old one in one step (rename(2)). Fails as
 * the file system does; the old record then stays.
 */
export function writeRecord(directory: string, record: EnclaveRecord): void {
  const path = join(directory, RECORD_FILE)
  const temporary = `${path}.${String(process.pid)}`
  try {
    writeFileSync(temporary, `${stringifyJson(record)}\n`, { mode: 0o600 })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true })
    throw error
  }
}

/**
 * The record in `directory`, or undefined when the enclave was removed meanwhile.
 *
 * @throws `ERR_KEEPER_RECORD` when the file is not a record of this enclave.
 */
export function readRecord(directory: string): EnclaveRecord | undefined {
  try {
    const record: unknown = parseOwnJson(readFileSync(join(directory, RECORD_FILE), 'utf8'))
    if (isRecord(record, basename(directory))) return record
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw damaged(directory, cause)
  }
  throw damaged(directory)
}

type Fields = Readonly<Record<string, unknown>>

function isRecord(value: unknown, id: string): value is EnclaveRecord {
  const record = fieldsOf(value)
  if (record === undefined || record['version'] !== 2 || record['id'] !== id) return false
  return (
    typeof record['createdAt'] === 'string' &&
    isProcess(record['keeper']) &&
    isDescription(record['description']) &&
    hasStateFields(record)
  )
}

function hasStateFields(record: Fields): boolean {
  switch (record['state']) {
    case 'STARTING':
      return (
        (record['processes'] === undefined || areProcesses(record['processes'])) &&
        areLimits(record['limits'])
      )
    case 'RUNNING':
    case 'TERMINATING': {
      const { processes, assurance, image } = record
      return (
        areProcesses(processes) &&
        areLimits(record['limits']) &&
        typeof assurance === 'string' &&
        fieldsOf(image) !== undefined
      )
    }
    case 'TERMINATED':
      return typeof fieldsOf(record['end'])?.['first'] === 'string'
    default:
      return false
  }
}

function isDescription(value: unknown): boolean {
  const { name, eifPath, accelerator, cpuIds, ...counts } = fieldsOf(value) ?? {}
  return (
    [name, eifPath, accelerator].every((text) => typeof text === 'string') &&
    [counts['cid'], counts['memoryMib'], counts['cpuCount']].every(Number.isSafeInteger) &&
    !String(name).includes('/') &&
    Array.isArray(cpuIds)
  )
}

function areProcesses(value: unknown): boolean {
  return Array.isArray(value) && value.every(isProcess)
}

function areLimits(value: unknown): boolean {
  if (value === undefined) return true
  const { missing, qemu, others } = fieldsOf(value) ?? {}
  return typeof missing === 'string' || [qemu, others].every(isGroup)
}

function isGroup(value: unknown): boolean {
  const { directories, ...limits } = fieldsOf(value) ?? {}
  const figures = [limits['memoryBytes'], limits['cpus'], limits['processes']]
  return (
    figures.every((figure) => typeof figure === 'number') &&
    Array.isArray(directories) &&
    directories.every((path) => typeof path === 'string')
  )
}

function isProcess(value: unknown): boolean {
  const { pid, startTime } = fieldsOf(value) ?? {}
  return Number.isSafeInteger(pid) && Number(pid) > 0 && Number.isSafeInteger(startTime)
}

function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null ? (value as Fields) : undefined
}

function damaged(directory: string, cause?: unknown): CloisterError {
  const path = join(directory, RECORD_FILE)
  return new CloisterError('ERR_KEEPER_RECORD', `${path} is not a record of this enclave`, {
    cause,
    details: { id: basename(directory), path },
    hint: `\`cloister terminate-enclave --enclave-id ${basename(directory)}\` ends it if it still runs. If it does not, remove ${directory}.`,
  })
}
