// A channel to a TPM of the host: the kernel's resource manager (/dev/tpmrm0), or a Unix socket at which
// swtpm serves TPM commands (`--server type=unixio`).

import { stat, open, type FileHandle } from 'node:fs/promises'
import { connect } from 'node:net'

import { CloisterError, reasonOf } from '../../errors.ts'
import type { TpmChannel } from './command.ts'
import { TpmTransport } from './transport.ts'

/** An open TPM; disposing of it closes the channel. */
export interface OpenTpm extends TpmChannel, AsyncDisposable {}

/** The longest response of a TPM. */
const MAX_RESPONSE_BYTES = 4096

/** @throws ERR_CHIP_TPM_GONE when there is no TPM at that path, or no permission to use it */
export async function openTpm(path: string): Promise<OpenTpm> {
  try {
    const status = await stat(path)
    if (status.isSocket()) return await openSocket(path)
    if (status.isCharacterDevice()) return openDevice(await open(path, 'r+'))
    throw new Error('neither a character device nor a socket')
  } catch (cause) {
    const message = `cannot open the TPM at ${path}: ${reasonOf(cause)}`
    throw new CloisterError('ERR_CHIP_TPM_GONE', message, {
      details: { path },
      hint: 'Name the device or the socket of the TPM; /dev/tpmrm0 needs root or the group tss.',
      cause,
    })
  }
}

async function openSocket(path: string): Promise<OpenTpm> {
  const socket = connect(path)
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve).once('error', reject)
  })
  const transport = new TpmTransport(socket)
  return {
    transmit: (command) => transport.transmit(command),
    [Symbol.asyncDispose]: () => {
      socket.destroy()
      return Promise.resolve()
    },
  }
}

/** The driver takes a command in one write, and gives its whole response to one read. */
function openDevice(device: FileHandle): OpenTpm {
  return {
    async transmit(command) {
      await device.write(command, 0, command.length, null)
      const response = new Uint8Array(MAX_RESPONSE_BYTES)
      const { bytesRead } = await device.read(response, 0, response.length, null)
      return response.subarray(0, bytesRead)
    },
    [Symbol.asyncDispose]: () => device.close(),
  }
}
