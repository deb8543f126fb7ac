// The same QEMU command and vsock card as an enclave's, with a parent that takes the heartbeat and no more.

import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { serveHeartbeat } from '../src/keeper/guest/heartbeat.ts'
import { measureImage } from '../src/keeper/parts/measured-image.ts'
import { deferred, Lifetime } from '../src/subprocess/index.ts'
import { Machine, probeAccelerator } from '../src/vmm/index.ts'
import { listenForGuest, noPorts, reservedPorts, startVsockCard } from '../src/vsock/index.ts'

const MEMORY_MIB = 128

export interface BareMachine extends AsyncDisposable {
  /** From the start of QEMU. */
  readonly heartbeatMs: number
  /** QEMU's and the card's. */
  readonly pids: readonly number[]
}

/** The kernel and ramdisks are ready before it begins, and nothing is measured. */
export async function startBare(
  eifPath: string,
  directory: string,
  memoryMib = MEMORY_MIB,
): Promise<BareMachine> {
  const lifetime = new Lifetime()
  try {
    return await start(lifetime, { eifPath, directory, memoryMib })
  } catch (error) {
    await lifetime[Symbol.asyncDispose]()
    throw error
  }
}

interface Bare {
  readonly eifPath: string
  readonly directory: string
  readonly memoryMib: number
}

async function start(
  lifetime: Lifetime,
  { eifPath, directory, memoryMib }: Bare,
): Promise<BareMachine> {
  mkdirSync(directory)
  using image = await measureImage(eifPath, directory, { memoryMib, cpuCount: 1 })
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
      memoryMib,
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
  return {
    heartbeatMs: performance.now() - begin,
    pids: [machine.process.pid, device.process.pid],
    [Symbol.asyncDispose]: () => lifetime[Symbol.asyncDispose](),
  }
}
