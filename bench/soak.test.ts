// `npm run soak`: 20 GiB through the vsock card; it takes minutes, so it is not in the tests.

import { expect, test } from 'vitest'
import { run } from './vsock-soak.ts'

test('soak', { timeout: 7_200_000 }, async () => {
  const [row] = await run()
  expect(row?.ratio).toBe(1)
})
