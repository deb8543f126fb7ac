// `npm run soak`: what takes too long for the tests: 20 GiB through the vsock card, and many enclaves.

import { expect, test } from 'vitest'
import { manyAtOnce, manyInTurn, manyRequests } from './enclave-soak.ts'
import { run } from './vsock-soak.ts'

const HOURS = 3_600_000

test('20 GiB through the card come back as they were', { timeout: 2 * HOURS }, async () => {
  const [row] = await run()
  expect(row?.ratio).toBe(1)
})

test('twenty of the smallest enclaves at once come up', { timeout: HOURS }, manyAtOnce)

test('200 starts and stops leave nothing, and nothing grows', { timeout: 2 * HOURS }, manyInTurn)

test('a million requests to each port cost their keeper little', { timeout: HOURS }, manyRequests)
