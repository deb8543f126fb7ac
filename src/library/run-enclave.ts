// Starts, finds and lists enclaves: what `run-enclave`, `describe-enclaves` and `events` do.

import {
  cgroupUses,
  isAlive,
  openDirectories,
  readEvents,
  Registry,
  restartRules,
  startEnclave,
  type CgroupUse,
  type EnclaveEvent,
  type LaunchOptions,
  type NetworkRequest,
  type RestartRule,
} from '../enclaves/index.ts'
import { readFileArgument } from '../files/index.ts'
import { parseEgress } from '../manifest/index.ts'
import { checkPublications, parsePublication } from '../network/index.ts'
import type { Accelerator } from '../vmm/index.ts'
import { noPorts, vsockKinds, type VsockKind } from '../vsock/index.ts'
import { checkOptions, type OptionKinds } from './check-options.ts'
import { defined } from './defined.ts'
import { Enclave } from './enclave.ts'
import { planLaunch } from './plan-launch.ts'

/** Where nothing is said, the image's manifest decides, and then the defaults of `run-enclave`. */
export interface RunEnclaveOptions {
  /** Path of the image. */
  readonly eif: string
  readonly name?: string
  readonly memoryMib?: number
  /** Whether the memory is huge pages of 2 MiB, which the host must have reserved. */
  readonly hugePages?: boolean
  readonly cpuCount?: number
  /** Host CPUs to run on, one vCPU each. */
  readonly cpuIds?: readonly number[]
  /** The guest's CID; a free one by default. */
  readonly cid?: number
  /** Ports of the guest that this host may connect to, such as `5005` or `8000,9100-9110`. */
  readonly guestPorts?: string
  /** Ports of the parent that the guest may connect to. */
  readonly parentPorts?: string
  /** With a readable console; documents carry zero PCRs. */
  readonly debug?: boolean
  /** KVM where it can run a guest, else TCG. */
  readonly accelerator?: Accelerator
  /** An identity to extend into PCR3. */
  readonly role?: string
  /** Path of a file or directory for the app, measured into PCR16. */
  readonly configData?: string
  readonly restart?: RestartRule
  /** Whether it runs in control groups: `auto` by default, where the host has them. */
  readonly cgroup?: CgroupUse
  readonly vsock?: VsockKind
  /** Path of egress rules beside the image's: both must allow. */
  readonly egress?: string
  /** Ports that the image declares, as `run-enclave --publish` takes them. */
  readonly publish?: readonly string[]
  readonly bootTimeoutMs?: number
  /** Gives the start up; its reason is thrown, and nothing is left. */
  readonly signal?: AbortSignal
  /** Called when the image is accepted, before anything is started. */
  readonly onAccepted?: () => void
}

const RUN_OPTIONS: OptionKinds<Required<RunEnclaveOptions>> = {
  eif: 'a string, required',
  name: 'a string',
  memoryMib: 'a whole number',
  hugePages: 'a boolean',
  cpuCount: 'a positive whole number',
  cpuIds: 'an array of whole numbers',
  cid: 'a whole number',
  guestPorts: 'a string',
  parentPorts: 'a string',
  debug: 'a boolean',
  accelerator: ['kvm', 'tcg'],
  role: 'a string',
  configData: 'a string',
  restart: restartRules,
  cgroup: cgroupUses,
  vsock: vsockKinds,
  egress: 'a string',
  publish: 'an array of strings',
  bootTimeoutMs: 'a positive whole number',
  signal: 'an AbortSignal',
  onAccepted: 'a function',
}

const MAX_RULES_BYTES = 1024 * 1024

/**
 * Starts an enclave and waits until its app runs. It outlives this process unless it is stopped.
 *
 * @throws CloisterError with the codes of `run-enclave` (docs/errors.md); the reason of the signal;
 * TypeError for an option that does not exist or has another type.
 */
export async function runEnclave(options: RunEnclaveOptions): Promise<Enclave> {
  checkOptions('runEnclave', options, RUN_OPTIONS)
  const { signal, onAccepted } = options
  signal?.throwIfAborted()
  const { request } = await planLaunch(await launchOptions(options))
  const { record } = await startEnclave(request, onAccepted, signal)
  return new Enclave(new Registry(request.directories.runtime), record)
}

async function launchOptions(options: RunEnclaveOptions): Promise<Omit<LaunchOptions, 'asked'>> {
  const { eif, guestPorts, parentPorts } = options
  const { name, memoryMib, cpuCount, cpuIds, cid, debug, accelerator } = options
  const { role, configData, restart, cgroup, vsock, hugePages, bootTimeoutMs } = options
  const network = await networkOf(options)
  return {
    eifPath: eif,
    ports: { ...noPorts, ...defined({ guestPorts, parentPorts }) },
    ...defined({ name, memoryMib, cpuCount, cpuIds, cid, debug, accelerator, role, configData }),
    ...defined({ restart, network, cgroup, vsock, hugePages, bootTimeoutMs }),
  }
}

async function networkOf({ egress, publish }: RunEnclaveOptions): Promise<NetworkRequest> {
  return {
    ...(egress !== undefined && {
      egress: await parseEgress(readFileArgument('egress', egress, MAX_RULES_BYTES), egress),
    }),
    ...(publish !== undefined && {
      publications: checkPublications(publish.map(parsePublication)),
    }),
  }
}

export interface ListOptions {
  /** Also those that have ended. */
  readonly all?: boolean
}

/** The enclaves of this host, the oldest first; with `all` also those that have ended. */
export function listEnclaves(options: ListOptions = {}): readonly Enclave[] {
  checkOptions('listEnclaves', options, { all: 'a boolean' })
  const { all = false } = options
  const registry = openRegistry()
  const records = registry.list().filter((record) => all || isAlive(record))
  return records.map((record) => new Enclave(registry, record))
}

/**
 * An enclave by its name or its id; a running one before one that has ended.
 *
 * @throws CloisterError `ERR_KEEPER_NO_SUCH_ENCLAVE`
 */
export function findEnclave(nameOrId: string): Enclave {
  const registry = openRegistry()
  return new Enclave(registry, registry.find(nameOrId))
}

export interface WatchOptions {
  /** Leaves out what was before; by default everything that is known comes first. */
  readonly since?: Date
  /** Ends the watching. */
  readonly signal?: AbortSignal
}

/** What happens to the enclaves of this host, until the signal aborts. */
export function watchEnclaves(options: WatchOptions = {}): AsyncGenerator<EnclaveEvent> {
  checkOptions('watchEnclaves', options, { since: 'a Date', signal: 'an AbortSignal' })
  const { since, signal } = options
  return readEvents(openRegistry(), {
    follow: true,
    ...defined({ sinceMs: since?.getTime(), signal }),
  })
}

function openRegistry(): Registry {
  const registry = new Registry(openDirectories().runtime)
  registry.settle()
  return registry
}
