// `npm run soak`: what takes too long for the tests: 20 GiB through the vsock card, 10 GiB and crowds of flows through the
// network, and many enclaves.

import { expect, test } from 'vitest'
import { manyAtOnce, manyInTurn, manyRequests } from './enclave-soak.ts'
import { manyClients, manyFlows, muchInOneFlow } from './network-soak.ts'
import { run } from './vsock-soak.ts'

const HOURS = 3_600_000

test('20 GiB through the card come back as they were', { timeout: 2 * HOURS }, async () => {
  const [row] = await run()
  expect(row?.ratio).toBe(1)
})

test('10 GiB through a flow come back as they were', { timeout: 2 * HOURS }, muchInOneFlow)

test('2,000 flows at once, 10,000 in turn', { timeout: HOURS }, manyFlows)

test('2,000 clients of a published port at once, 10,000 in turn', { timeout: HOURS }, manyClients)

test('twenty of the smallest enclaves at once come up', { timeout: HOURS }, manyAtOnce)

test('200 starts and stops leave nothing, and nothing grows', { timeout: 2 * HOURS }, manyInTurn)

test('a million requests to each port cost their keeper little', { timeout: HOURS }, manyRequests)
