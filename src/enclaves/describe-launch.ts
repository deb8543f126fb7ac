// From what a caller asks for to a launch that a keeper can carry out: defaults, and every check that
// needs no image.

import { existsSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { basename, resolve } from 'node:path'
import { CloisterError } from '../errors.ts'
import { checkInputPath } from '../files/index.ts'
import { checkHugePages, checkKvm, probeAccelerator, type Accelerator } from '../vmm/index.ts'
import {
  checkPortList,
  checkVsockKind,
  noPorts,
  type PortLists,
  type VsockKind,
} from '../vsock/index.ts'
import { readConfigData, type ConfigData } from './config-data.ts'
import { openDirectories } from './directories.ts'
import { availableMemoryMib } from './host-memory.ts'
import type {
  CgroupUse,
  ConfigFacts,
  LaunchDescription,
  LaunchRequest,
  NetworkRequest,
  RestartRule,
} from './launch-request.ts'
import { MAX_MEMORY_MIB, MIN_MEMORY_MIB } from './memory-size.ts'
import { findPrograms } from './programs.ts'

export const DEFAULT_MEMORY_MIB = 512
/** QEMU's microvm takes more; no guest of ours was tried with them. */
const MAX_CPUS = 64
export const DEFAULT_BOOT_TIMEOUT_MS = 180_000
const MAX_NAME_BYTES = 200
/** VMADDR_CID_ANY. */
const MAX_CID = 0xffff_ffff

export interface LaunchOptions {
  readonly eifPath: string
  /** Default: the image's file name without `.eif`. */
  readonly name?: string | undefined
  /** Default: 512. */
  readonly memoryMib?: number | undefined
  /** Whether the memory is to be huge pages, which the host must have reserved. Default: no. */
  readonly hugePages?: boolean | undefined
  /** Default: 1, or as many as `cpuIds`. */
  readonly cpuCount?: number | undefined
  /** What the image asks for, where the operator says nothing: no more than this host can well give. */
  readonly asked?: AskedSize | undefined
  /** Host CPUs to run on, one vCPU each. */
  readonly cpuIds?: readonly number[] | undefined
  /** The guest's vsock CID; 0, the default: chosen. */
  readonly cid?: number | undefined
  /** With a readable console; documents carry zero PCRs. */
  readonly debug?: boolean | undefined
  /** Default: KVM where it can run a guest, else TCG. */
  readonly accelerator?: Accelerator | undefined
  readonly ports?: PortLists | undefined
  /** Default: `card`. */
  readonly vsock?: VsockKind | undefined
  /** An identity to extend into PCR3, as AWS does with an IAM role's ARN. */
  readonly role?: string | undefined
  /** Default: `no`. */
  readonly restart?: RestartRule | undefined
  /** A file, or a directory of files, to hand to the app and to measure into PCR16. */
  readonly configData?: string | undefined
  /** What the operator says about its network. */
  readonly network?: NetworkRequest | undefined
  /** Default: `auto`. */
  readonly cgroup?: CgroupUse | undefined
  /** Default: 180,000. */
  readonly bootTimeoutMs?: number | undefined
}

/** What an image's manifest asks for. Hostile input. */
export interface AskedSize {
  /** Refused above half of the memory that is available. */
  readonly memoryMib?: number | undefined
  /** Refused above the number of online CPUs. */
  readonly cpus?: number | undefined
}

/**
 * A launch in this host's directories with the programs found here.
 *
 * @throws As {@link describeLaunch}; `ERR_CONFIG_DATA`, `ERR_KEEPER_DIRECTORY`, `ERR_PROCESS_SPAWN`.
 */
export function launchRequest(options: LaunchOptions): LaunchRequest {
  const description = describeLaunch(options)
  const config = options.configData === undefined ? undefined : readConfigData(options.configData)
  return {
    ...(config === undefined
      ? { description }
      : {
          description: { ...description, configData: configFacts(config) },
          configData: Buffer.from(config.encoded).toString('base64'),
        }),
    ...(options.network !== undefined && { network: options.network }),
    directories: openDirectories(),
    programs: findPrograms(),
  }
}

/**
 * @throws `ERR_CLI_ARGUMENT` for a name or CID that cannot be, `ERR_KEEPER_MEMORY`,
 * `ERR_KEEPER_HOST_MEMORY`, `ERR_KEEPER_CPU`, `ERR_KEEPER_CPU_REPEATED`, `ERR_KEEPER_CPU_COUNT`,
 * `ERR_EIF_UNREADABLE`, `ERR_VSOCK_PORTS`, `ERR_VMM_KVM`, `ERR_VMM_HUGE_PAGES`,
 * `ERR_VSOCK_HOST`
 */
export function describeLaunch(options: LaunchOptions): LaunchDescription {
  const { eifPath, role, restart, cgroup } = options
  checkInputPath(eifPath, 'ERR_EIF_UNREADABLE')
  const cpuIds = hostCpus(options.cpuIds ?? [])
  const memoryMib = checkedMemory(memoryOf(options))
  if (options.hugePages === true) checkHugePages(memoryMib)
  return {
    eifPath: resolve(eifPath),
    name: enclaveName(options.name ?? basename(eifPath).replace(/\.eif$/, '')),
    memoryMib,
    ...(options.hugePages === true ? { hugePages: true } : {}),
    cpuCount: cpuIds.length > 0 ? cpuIds.length : checkedCpuCount(cpuCountOf(options)),
    cpuIds,
    cid: guestCid(options.cid ?? 0),
    debug: options.debug ?? false,
    accelerator: checkedAccelerator(options.accelerator),
    ports: checkedPorts(options.ports ?? noPorts),
    vsock: checkVsockKind(options.vsock ?? 'card'),
    ...(role === undefined ? {} : { role }),
    ...(cgroup === undefined || cgroup === 'auto' ? {} : { cgroup }),
    ...(restart === undefined || restart === 'no' ? {} : { restart }),
    bootTimeoutMs: options.bootTimeoutMs ?? DEFAULT_BOOT_TIMEOUT_MS,
  }
}

function configFacts({ pcr16, bytes, names }: ConfigData): ConfigFacts {
  const hex = Buffer.from(pcr16).toString('hex')
  return { pcr16: hex, bytes, ...(names === undefined ? {} : { names }) }
}

function checkedAccelerator(accelerator: Accelerator | undefined): Accelerator {
  if (accelerator === 'kvm') checkKvm()
  return accelerator ?? probeAccelerator().accelerator
}

function cpuCountOf({ cpuCount, asked }: LaunchOptions): number {
  const wanted = asked?.cpus
  if (cpuCount !== undefined || wanted === undefined) return cpuCount ?? 1
  const hostCpuCount = availableParallelism()
  if (wanted <= hostCpuCount) return wanted
  throw new CloisterError(
    'ERR_KEEPER_CPU_COUNT',
    `the image's manifest asks for ${String(wanted)} vCPUs, more than the ${String(hostCpuCount)} CPUs of this host`,
    {
      details: { cpuCount: wanted, hostCpuCount },
      hint: 'Give --cpu-count to override the manifest.',
    },
  )
}

/** An image must not take the host's memory from everything else without its operator's word. */
function memoryOf({ memoryMib, asked }: LaunchOptions): number {
  const wanted = asked?.memoryMib
  if (memoryMib !== undefined || wanted === undefined) return memoryMib ?? DEFAULT_MEMORY_MIB
  const availableMib = availableMemoryMib()
  if (wanted <= availableMib / 2) return wanted
  throw new CloisterError(
    'ERR_KEEPER_HOST_MEMORY',
    `the image's manifest asks for ${String(wanted)} MiB, more than half of the ${String(availableMib)} MiB that are available`,
    {
      details: { memoryMib: wanted, availableMib },
      hint: 'Give --memory to override the manifest.',
    },
  )
}

function checkedCpuCount(cpuCount: number): number {
  const hostCpuCount = availableParallelism()
  if (cpuCount <= Math.min(hostCpuCount, MAX_CPUS)) return cpuCount
  throw new CloisterError(
    'ERR_KEEPER_CPU_COUNT',
    cpuCount > hostCpuCount
      ? `${String(cpuCount)} vCPUs are more than the ${String(hostCpuCount)} CPUs of this host`
      : `${String(cpuCount)} vCPUs are more than the ${String(MAX_CPUS)} that an enclave can have`,
    { details: { cpuCount, hostCpuCount } },
  )
}

function checkedMemory(memoryMib: number): number {
  const hostMib = Math.floor(totalmem() / 2 ** 20)
  if (memoryMib > hostMib && memoryMib <= MAX_MEMORY_MIB) {
    throw new CloisterError(
      'ERR_KEEPER_HOST_MEMORY',
      `${String(memoryMib)} MiB of memory is more than the ${String(hostMib)} MiB of this host`,
      { details: { memoryMib, hostMib } },
    )
  }
  if (memoryMib >= MIN_MEMORY_MIB && memoryMib <= MAX_MEMORY_MIB) return memoryMib
  throw new CloisterError(
    'ERR_KEEPER_MEMORY',
    `${String(memoryMib)} MiB of memory is outside the range from ${String(MIN_MEMORY_MIB)} to ${String(MAX_MEMORY_MIB)} MiB`,
    {
      details: { memoryMib },
      hint: 'Give --memory a value in that range, in MiB or with the suffix M, G or T.',
    },
  )
}

/** Any printable text that can be a file's name, spaces too, with room for a suffix. */
function enclaveName(name: string): string {
  const problem = problemOfName(name)
  if (problem === undefined) return name
  throw argument(
    `the enclave name ${JSON.stringify(name)} ${problem}`,
    `Give --enclave-name 1 to ${String(MAX_NAME_BYTES)} bytes of printable text without '/'; the default is the image's file name without .eif.`,
  )
}

function problemOfName(name: string): string | undefined {
  if (name === '') return 'is empty'
  if (name === '.' || name === '..') return 'is reserved'
  if (name.includes('/')) return "contains '/'"
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(name)) return 'contains control characters or line breaks'
  return Buffer.byteLength(name) > MAX_NAME_BYTES ? 'is too long' : undefined
}

/** What each of the CIDs below 4 stands for, vsock(7). */
const RESERVED_CIDS = ['', 'loopback', 'the host', 'the parent of an enclave']

/** As nitro-cli: 1 to 3 and the highest are reserved; 0 means any. */
function guestCid(cid: number): number {
  if (cid === 0 || (cid > 3 && cid < MAX_CID)) return cid
  const use = RESERVED_CIDS[cid] ?? 'any address'
  throw argument(
    `the enclave CID ${String(cid)} is reserved for ${use}`,
    `Give --enclave-cid a number from 4 to ${String(MAX_CID - 1)}, or leave it out: a free one is then chosen.`,
  )
}

function hostCpus(cpus: readonly number[]): readonly number[] {
  const missing = cpus.find((id) => !existsSync(`/sys/devices/system/cpu/cpu${String(id)}`))
  if (missing !== undefined) {
    throw new CloisterError('ERR_KEEPER_CPU', `this host has no CPU ${String(missing)}`, {
      details: { cpuIds: cpus },
    })
  }
  const repeated = cpus.find((id, index) => cpus.indexOf(id) !== index)
  if (repeated !== undefined) {
    throw new CloisterError('ERR_KEEPER_CPU_REPEATED', `CPU ${String(repeated)} is named twice`, {
      details: { cpuIds: cpus },
    })
  }
  if (cpus.length > MAX_CPUS) throw argument(`more than ${String(MAX_CPUS)} CPUs are named`)
  return cpus
}

function checkedPorts({ parentPorts, guestPorts }: PortLists): PortLists {
  return { parentPorts: checkPortList(parentPorts), guestPorts: checkPortList(guestPorts) }
}

function argument(message: string, hint?: string): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', message, hint === undefined ? {} : { hint })
}
