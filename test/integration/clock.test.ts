// The guest's clock is its host's, from the app's start on, and again after the machine stood still.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { guestReport } from '../fixtures/guest-program.ts'
import { pythonRootfs } from '../fixtures/strangers.ts'
import { TestHost } from '../host.ts'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** By how many ms the guest's clock is outside what ours said before and after the question. */
async function difference(vsockSocket: string): Promise<number> {
  const before = Date.now()
  const guest = await guestReport<number>(vsockSocket)
  return Math.max(0, before - guest, guest - Date.now())
}

test('an app finds the right time, and finds it again after a pause', async () => {
  const rootfs = await pythonRootfs(host.directory, 'clock.py')
  const program = ['--entrypoint', '/usr/bin/python3', '/app.py']
  const eif = await host.build('clock', '--rootfs', rootfs, ...program)
  const { VsockSocket, Processes } = await host.start(eif, '--memory', '160')
  // A clock that was set from a whole second when the machine began is seconds off by now.
  expect(await difference(VsockSocket)).toBeLessThan(1000)

  const qemu = Processes['QEMU'] ?? 0
  process.kill(qemu, 'SIGSTOP')
  await sleep(5000)
  process.kill(qemu, 'SIGCONT')
  await expect
    .poll(() => difference(VsockSocket), { timeout: 60_000, interval: 1000 })
    .toBeLessThan(1000)
})
