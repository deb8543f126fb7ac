// What a QEMU offers is asked of the program itself, which may be anything.

import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { offersDevice } from '../../src/vmm/index.ts'
import { temporaryDirectory } from '../fixtures/temporary-directory.ts'

test.each([
  ['the system QEMU has the vsock device', 'vhost-user-vsock-device', true],
  ['no QEMU has a device that nobody made', 'vhost-user-nonesuch-device', false],
])('%s', async (_, device, expected) => {
  expect(await offersDevice('qemu-system-x86_64', device, {})).toBe(expected)
})

test.each([
  ['that is not there', undefined],
  ['that says nothing', 'exit 0'],
  ['that fails', 'echo no >&2; exit 1'],
  ['that speaks of another device', 'echo "some-device options:"'],
  ['that never stops talking', 'exec yes'],
])('a program %s offers nothing', async (_, script) => {
  await using directory = await temporaryDirectory()
  const program = directory.join('qemu')
  if (script !== undefined) writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  expect(await offersDevice(program, 'vhost-user-test-device', {})).toBe(false)
})
