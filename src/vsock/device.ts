// The vsock device of one enclave: a vhost-user back end in a process of its own, which QEMU talks
// to over one socket and the host over another. It runs in a directory that belongs to its user
// and names its sockets relative to it, so it needs no right to any directory above.

import type { Socket } from 'node:net'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CloisterError } from '../errors.ts'
import { startProcess, type Confinement, type ManagedProcess } from '../process/index.ts'
import { checkSocketPath } from './listen.ts'

const VHOST_USER_SOCKET = 'vhost-user.sock'
const HOST_SOCKET = 'vsock.sock'

/**
 * vhost-device-vsock 0.3.0 takes one descriptor per packet, but Linux sends packets over 32 KiB in
 * several; a smaller credit keeps every packet below that.
 */
const TX_BUFFER_BYTES = 28672

const START_TIMEOUT_MS = 5000

export interface VsockDeviceOptions {
  /** The vhost-device-vsock program. */
  readonly program: string
  /** A directory of its own, owned by the user it runs as. */
  readonly directory: string
  readonly guestCid: number
  readonly confinement: Confinement
}

export interface VsockDevice {
  readonly process: ManagedProcess
  /** The host's end: see `connectGuest` and `listenForGuest`. */
  readonly socketPath: string
  /** Connects to the device's vhost-user socket, for the VMM to inherit. */
  readonly connectVmm: () => Promise<Socket>
}

/** @throws `ERR_PROCESS_SPAWN`, `ERR_VSOCK_DEVICE` when it does not come up. */
export async function startVsockDevice(options: VsockDeviceOptions): Promise<VsockDevice> {
  const socketPath = join(options.directory, HOST_SOCKET)
  const vhostUserPath = join(options.directory, VHOST_USER_SOCKET)
  checkSocketPath(vhostUserPath)
  const vm = [
    `guest-cid=${String(options.guestCid)}`,
    `socket=${VHOST_USER_SOCKET}`,
    `uds-path=${HOST_SOCKET}`,
    `tx-buffer-size=${String(TX_BUFFER_BYTES)}`,
  ].join(',')
  const device = await startProcess({
    name: 'vsock device',
    command: [options.program, '--vm', vm],
    cwd: options.directory,
    confinement: options.confinement,
  })
  return { process: device, socketPath, connectVmm: () => connectWhenUp(vhostUserPath, device) }
}

async function connectWhenUp(path: string, device: ManagedProcess): Promise<Socket> {
  const deadline = Date.now() + START_TIMEOUT_MS
  for (;;) {
    const socket = await tryConnect(path)
    if (socket !== undefined) return socket
    if (device.hasEnded || Date.now() > deadline) throw notUp(device)
    await sleep(5)
  }
}

function tryConnect(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection({ path, allowHalfOpen: true })
    socket.once('error', () => {
      resolve(undefined)
    })
    socket.once('connect', () => {
      socket.pause()
      resolve(socket)
    })
  })
}

function notUp(device: ManagedProcess): CloisterError {
  return new CloisterError(
    'ERR_VSOCK_DEVICE',
    `the vsock device did not come up: ${device.lastWords()}`,
    {
      details: { stderr: device.lastWords() },
    },
  )
}
