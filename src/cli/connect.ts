// cloister connect: a port of the guest on standard input and output, as `nc` does it for TCP.

import type { Socket } from 'node:net'
import { finished, pipeline } from 'node:stream/promises'
import { Command } from 'commander'
import { isAlive, openDirectories, Registry, connectToPort } from '../enclaves/index.ts'
import { CloisterError, reasonOf } from '../errors.ts'
import { wholeNumber } from './arguments.ts'
import {
  enclaveIdOption,
  enclaveNameOption,
  findEnclave,
  type EnclaveFlags,
} from './find-enclave.ts'

interface ConnectOptions extends EnclaveFlags {
  readonly port: number
  readonly timeout: number
}

const EXAMPLE = `
The port must be open (run-enclave --guest-ports, open-ports). The end of standard input closes that
direction only; the command ends when the guest closes the connection.

Example:
  echo '{"nonce":"AAECAw==","userData":null,"publicKey":null}' |
    cloister connect --enclave-name hello --port 5005`

export function connectCommand(): Command {
  return new Command('connect')
    .addOption(enclaveIdOption())
    .addOption(enclaveNameOption())
    .requiredOption(
      '--port <port>',
      'the port that the guest listens on',
      wholeNumber(0, 0xffffffff),
    )
    .option(
      '--timeout <seconds>',
      'how long to wait for the guest to listen',
      wholeNumber(0, 3600),
      5,
    )
    .addHelpText('after', EXAMPLE)
    .action(connect)
}

async function connect({ port, timeout, ...flags }: ConnectOptions): Promise<void> {
  const registry = new Registry(openDirectories().runtime)
  const record = findEnclave(registry, flags)
  if (!isAlive(record)) {
    throw new CloisterError(
      'ERR_KEEPER_NO_SUCH_ENCLAVE',
      `the enclave ${record.description.name} has ended`,
    )
  }
  const socket = await connectToPort(registry, record, { port, timeoutMs: timeout * 1000 })
  await exchange(socket, port)
}

async function exchange(socket: Socket, port: number): Promise<void> {
  const sent = pipeline(process.stdin, socket).catch(() => undefined)
  const received = pipeline(socket, process.stdout, { end: false })
  try {
    await Promise.all([received, finished(socket, { writable: false })])
  } catch (cause) {
    const message = `the connection to port ${String(port)} was cut: ${reasonOf(cause)}`
    throw new CloisterError('ERR_VSOCK_CONNECT', message, { cause, details: { port } })
  } finally {
    process.stdin.destroy()
    socket.destroy()
    await sent
  }
}
