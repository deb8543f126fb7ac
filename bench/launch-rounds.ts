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

/** Milliseconds to the heartbeat of each round. */
export interface LaunchTimes {
  readonly ours: readonly number[]
  readonly bare: readonly number[]
}

/** Launches the image `rounds` times each way, with this host's accelerator. */
export async function measureLaunch(eifPath: string, rounds: number): Promise<LaunchTimes> {
  const scratch = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    const ours: number[] = []
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

/** Milliseconds from the request to the app's start; the enclave is gone afterwards. */
export async function launchOurs(request: LaunchRequest): Promise<number> {
  const begin = performance.now()
  const { record } = await startEnclave(request)
  const took = performance.now() - begin
  await endEnclave(new Registry(request.directories.runtime), record, 0)
  return took
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
