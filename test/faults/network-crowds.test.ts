// Many connections of one enclave through its network: at once, in turn, and with readers that wait. `npm run soak`
// has more of each (bench/network-soak.ts).

import { afterAll, beforeAll, expect, test } from 'vitest'
import { LoadHost, type LoadedEnclave } from '../fixtures/network/loaded-enclave.ts'

/** Of the network card, however many flows. */
const MAX_MIB = 64
const CLIENTS = 1100
const MAX_CLIENTS = 1016
const STALLED = 24
const STALLED_BYTES = 4_000_000

let host: LoadHost
let enclave: LoadedEnclave

beforeAll(async () => {
  host = await LoadHost.start()
  enclave = await host.run()
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

test('2,000 connections are open at once, and each still answers', async () => {
  expect(await enclave.load('hold', 2000)).toMatchObject({ held: 2000 })
  expect(enclave.peakMib).toBeLessThan(MAX_MIB)
})

test('connections whose readers wait hinder no other, and lose nothing', async () => {
  expect(await enclave.load('stall', STALLED)).toEqual({
    stalled: STALLED,
    received: STALLED * STALLED_BYTES,
  })
  expect(enclave.peakMib).toBeLessThan(MAX_MIB)
})

test('each of 20 million bytes comes back as it was sent', async () => {
  expect(await enclave.load('mirror', 20_000_000)).toMatchObject({ mirrored: 20_000_000 })
})

test('of a crowd of clients of a published port as many are served as have a place, and the rest is reset', async () => {
  await enclave.serve()
  expect(await enclave.loadFromHost('crowd', CLIENTS)).toEqual({
    served: MAX_CLIENTS,
    reset: CLIENTS - MAX_CLIENTS,
  })
  expect(enclave.peakMib).toBeLessThan(MAX_MIB)
  // Their places are free again.
  await expect.poll(() => enclave.flows()).toBe(0)
  expect(await enclave.loadFromHost('hold', 100)).toMatchObject({ held: 100 })
})

test('2,000 connections in turn leave nothing behind', async () => {
  expect(await enclave.load('connect', 2000)).toHaveProperty('perSecond')
  await expect.poll(() => enclave.flows()).toBe(0)
  expect(enclave.peakMib).toBeLessThan(MAX_MIB)
})
