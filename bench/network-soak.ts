// Much through the network of one enclave: 10 GiB there and back, crowds of flows and of readers that wait, and a
// crowd of clients of a published port.

import { expect } from 'vitest'
import { LoadHost, type LoadedEnclave } from '../test/fixtures/network/loaded-enclave.ts'

const MIRRORED_BYTES = Number(process.env['CLOISTER_SOAK_BYTES'] ?? 10 * 2 ** 30)
const AT_ONCE = 2000
const IN_TURN = 10_000
/** Of a published port, at a time. */
const MAX_CLIENTS = 1016
const STALLED = 300
const STALLED_BYTES = 4_000_000
/** Of the network card: what it keeps for a slow reader, and all else. */
const KEPT_MIB = 0.25
const MAX_MIB = 64

/** 10 GiB that come back, compared byte by byte in the guest. */
export async function muchInOneFlow(): Promise<void> {
  await withEnclave(async (enclave) => {
    const result = await enclave.load('mirror', MIRRORED_BYTES)
    say('mirrored', { ...result, cardMib: enclave.peakMib })
    expect(result).toMatchObject({ mirrored: MIRRORED_BYTES })
    expect(enclave.peakMib).toBeLessThan(MAX_MIB)
  })
}

export async function manyFlows(): Promise<void> {
  await withEnclave(async (enclave) => {
    const held = await enclave.load('hold', AT_ONCE)
    say('at once', { ...held, cardMib: enclave.peakMib })
    expect(held).toMatchObject({ held: AT_ONCE })
    const turns = await enclave.load('connect', IN_TURN)
    say(`${String(IN_TURN)} in turn`, { ...turns, cardMib: enclave.peakMib })
    await expect.poll(() => enclave.flows(), { timeout: 10_000 }).toBe(0)
    expect(enclave.peakMib).toBeLessThan(MAX_MIB)
    const stalled = await enclave.load('stall', STALLED)
    say('readers that wait', { ...stalled, cardMib: enclave.peakMib })
    expect(stalled).toEqual({ stalled: STALLED, received: STALLED * STALLED_BYTES })
    expect(enclave.peakMib).toBeLessThan(MAX_MIB + STALLED * KEPT_MIB)
  })
}

export async function manyClients(): Promise<void> {
  await withEnclave(async (enclave) => {
    await enclave.serve()
    const crowd = await enclave.loadFromHost('crowd', AT_ONCE)
    say('clients at once', { ...crowd, cardMib: enclave.peakMib })
    expect(crowd).toEqual({ served: MAX_CLIENTS, reset: AT_ONCE - MAX_CLIENTS })
    await expect.poll(() => enclave.flows(), { timeout: 10_000 }).toBe(0)
    const turns = await enclave.loadFromHost('connect', IN_TURN)
    say(`${String(IN_TURN)} clients in turn`, { ...turns, cardMib: enclave.peakMib })
    await expect.poll(() => enclave.flows(), { timeout: 10_000 }).toBe(0)
    expect(enclave.peakMib).toBeLessThan(MAX_MIB)
  })
}

async function withEnclave(act: (enclave: LoadedEnclave) => Promise<void>): Promise<void> {
  await using host = await LoadHost.start()
  await act(await host.run())
}

function say(what: string, result: unknown): void {
  process.stdout.write(`${what}: ${JSON.stringify(result)}\n`)
}
