// Launch to heartbeat, as often as asked: `startEnclave` (measuring, virtual TPM, certificate and all)
// and the same QEMU command and vsock card run bare, in turns.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
// The built keeper: it is a process of its own, and Node runs no TypeScript.
import {
  describeLaunch,
  endEnclave,
  Registry,
  startEnclave,
  type LaunchRequest,
} from '../dist/enclaves/index.js'
import { serveHeartbeat } from '../src/keeper/guest/heartbeat.ts'
import { measureImage } from '../src/keeper/parts/measured-image.ts'
import { deferred, Lifetime } from '../src/subprocess/index.ts'
import { Machine, probeAccelerator } from '../src/vmm/index.ts'
import { listenForGuest, noPorts, reservedPorts, startVsockCard } from '../src/vsock/index.ts'

const MEMORY_MIB = 128
/** The one step that the guest takes. */
export const BOOT = 'boot to the heartbeat'

/** Of each round. */
export interface LaunchTimes {
  readonly ours: readonly Launched[]
  /** Milliseconds to the heartbeat. */
  readonly bare: readonly number[]
}

/** One launch of ours, in milliseconds from the request. */
export interface Launched {
  readonly heartbeatMs: number
  readonly appMs: number
  /** What each step took, the start of the keeper included. */
  readonly steps: Readonly<Record<string, number>>
}

/** Launches the image `rounds` times each way, with this host's accelerator. */
export async function measureLaunch(eifPath: string, rounds: number): Promise<LaunchTimes> {
  const scratch = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    const ours: Launched[] = []
    const bare: number[] = []
    for (let round = 0; round < rounds; round++) {
      ours.push(await launchOurs(requestFor(eifPath, scratch)))
      bare.push(await launchBare(eifPath, join(scratch, `bare${String(round)}`)))
    }
    return { ours, bare }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

export function requestFor(
  eifPath: string,
  scratch: string,
  memoryMib = MEMORY_MIB,
): LaunchRequest {
  const directories = { state: join(scratch, 'state'), runtime: join(scratch, 'run') }
  for (const directory of Object.values(directories))
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  return {
    directories,
    programs: {
      qemu: 'qemu-system-x86_64',
      vsockCard: resolve('build/bin/cloister-vsock'),
      nsmCard: resolve('build/bin/cloister-nsm'),
      networkCard: resolve('build/bin/cloister-network'),
    },
    description: describeLaunch({ eifPath, memoryMib }),
  }
}

/** From the request to the app's start; the enclave is gone afterwards. */
export async function launchOurs(request: LaunchRequest): Promise<Launched> {
  const begin = performance.now()
  const { record, timeline } = await startEnclave(request)
  const appMs = performance.now() - begin
  await endEnclave(new Registry(request.directories.runtime), record, 0)
  const ends = timeline.map(({ atMs, tookMs }) => atMs + tookMs)
  const boot = timeline.findIndex(({ step }) => step === BOOT)
  // What the keeper's clock does not know: its own start, and the way of its last word.
  const keeperMs = appMs - Math.max(...ends)
  const steps = Object.fromEntries(timeline.map(({ step, tookMs }) => [step, tookMs]))
  const heartbeatMs = keeperMs + (ends[boot] ?? NaN)
  return { heartbeatMs, appMs, steps: { 'start the keeper': keeperMs, ...steps } }
}

/** From the start of QEMU to the heartbeat; the kernel and ramdisks are ready, nothing is measured. */
async function launchBare(eifPath: string, directory: string): Promise<number> {
  mkdirSync(directory)
  await using lifetime = new Lifetime()
  using image = await measureImage(eifPath, directory, { memoryMib: MEMORY_MIB, cpuCount: 1 })
  const device = await startVsockCard({
    program: resolve('build/bin/cloister-vsock'),
    directory,
    guestCid: 16,
    reservedPorts: '9000-9002',
    ports: noPorts,
    confinement: {},
  })
  await lifetime.own(device)
  const heartbeat = deferred<undefined>()
  const { socketPath } = device
  const held = (): Promise<void> => Promise.resolve()
  await lifetime.own(
    await listenForGuest({ socketPath, port: reservedPorts.nsm, maxConnections: 1 }, held),
  )
  await lifetime.own(
    await listenForGuest({ socketPath, port: reservedPorts.agent, maxConnections: 1 }, held),
  )
  await lifetime.own(
    await listenForGuest(
      { socketPath, port: reservedPorts.heartbeat, maxConnections: 4 },
      (socket) =>
        serveHeartbeat(socket, () => {
          heartbeat.resolve(undefined)
        }),
    ),
  )
  const begin = performance.now()
  const machine = await Machine.start({
    program: 'qemu-system-x86_64',
    confinement: {},
    vsock: device.vmm,
    kernelFd: image.kernelFd,
    initrdFd: image.initrdFd,
    own: (process) => lifetime.own(process),
    timeoutMs: 180_000,
    spec: {
      accelerator: probeAccelerator().accelerator,
      memoryMib: MEMORY_MIB,
      cpuCount: 1,
      cpuIds: [],
      cmdline: image.cmdline,
      serialPort: 'none',
      nsmCard: false,
    },
  })
  const died = machine.process.ended.then(() => {
    throw new Error(`QEMU ended before the heartbeat: ${machine.process.lastWords()}`)
  })
  await Promise.race([heartbeat.promise, died])
  return performance.now() - begin
}
