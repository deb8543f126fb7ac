// What the transport does with a TPM that misbehaves. The peer here is the test: no real TPM does so.

import { duplexPair, type Duplex } from 'node:stream'
import { expect, it } from 'vitest'
import { execute } from '../../src/chip/tpm/command.ts'
import { TpmTransport } from '../../src/chip/tpm/transport.ts'

const command = Buffer.from('80010000000c0000017b0010', 'hex')
const emptyResponse = Buffer.from('80010000000a00000000', 'hex')

function connected(timeoutMs = 60_000): { transport: TpmTransport; peer: Duplex } {
  const [ours, peer] = duplexPair()
  return { transport: new TpmTransport(ours, timeoutMs), peer }
}

async function codeOf(failing: Promise<unknown>): Promise<unknown> {
  return failing.then(
    () => 'no error',
    (error: unknown) => (error as { code?: string }).code,
  )
}

it('sends one command at a time, and joins a response that comes in pieces', async () => {
  const { transport, peer } = connected()
  const answered = Promise.all([transport.transmit(command), transport.transmit(command)])
  const received: Buffer[] = []
  peer.on('data', (bytes: Buffer) => {
    received.push(bytes)
    peer.write(emptyResponse.subarray(0, 4))
    setImmediate(() => peer.write(emptyResponse.subarray(4)))
  })
  expect(await answered).toEqual([new Uint8Array(emptyResponse), new Uint8Array(emptyResponse)])
  expect(received).toEqual([command, command])
})

it.each([
  ['a size over the limit', '8001ffffffff00000000'],
  ['a size below the header', '80010000000900000000'],
  ['bytes after the response', '80010000000a0000000000'],
])('fails everyone who waits on %s', async (_, response) => {
  const { transport, peer } = connected()
  const waiting = [codeOf(transport.transmit(command)), codeOf(transport.transmit(command))]
  peer.once('data', () => peer.write(Buffer.from(response, 'hex')))
  expect(await Promise.all(waiting)).toEqual(['ERR_CHIP_TPM_PROTOCOL', 'ERR_CHIP_TPM_PROTOCOL'])
  expect(await codeOf(transport.transmit(command))).toBe('ERR_CHIP_TPM_PROTOCOL')
})

it('fails on an answer that nobody asked for', async () => {
  const { transport, peer } = connected()
  peer.write(emptyResponse)
  await new Promise(setImmediate)
  expect(await codeOf(transport.transmit(command))).toBe('ERR_CHIP_TPM_PROTOCOL')
})

it('fails everyone who waits when the TPM hangs up', async () => {
  const { transport, peer } = connected()
  const waiting = [codeOf(transport.transmit(command)), codeOf(transport.transmit(command))]
  peer.once('data', () => peer.end())
  expect(await Promise.all(waiting)).toEqual(['ERR_CHIP_TPM_GONE', 'ERR_CHIP_TPM_GONE'])
})

it('gives up on a TPM that does not answer', async () => {
  const { transport } = connected(20)
  expect(await codeOf(transport.transmit(command))).toBe('ERR_CHIP_TPM_TIMEOUT')
})

it('reports the response code of the TPM', async () => {
  const { transport, peer } = connected()
  peer.once('data', () => peer.write(Buffer.from('80010000000a00000148', 'hex')))
  await expect(execute(transport, 'NV_Extend')).rejects.toMatchObject({
    code: 'ERR_CHIP_TPM_RC',
    details: { command: 'NV_Extend', rc: 0x148 },
  })
})
