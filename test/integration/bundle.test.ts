// The bundle, which is what people start: its stacks name the source.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestHost } from '../host.ts'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

test('with --verbose a stack has the lines of the source', async () => {
  const { stderr } = await host.run('--verbose', 'describe-eif', '--eif-path', '/no/such')
  expect(stderr).toMatch(/^ {2}\| +at .*src\/files\/input-file\.ts:\d+/m)
})
