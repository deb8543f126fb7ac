// Which ends are followed by another start, and how long that waits.

import { expect, test } from 'vitest'
import type { EndCause, RestartRule } from '../../src/enclaves/index.ts'
import { Restarts } from '../../src/keeper/restarts.ts'

const well: EndCause = { first: 'app', reason: '', exitCode: 0 }
const badly: EndCause = { first: 'app', reason: '', exitCode: 1 }
const killed: EndCause = { first: 'app', reason: '', signal: '9' }
const qemu: EndCause = { first: 'QEMU', reason: '', exitCode: 0 }
const start: EndCause = { first: 'start', reason: '' }

test.each<[RestartRule, EndCause, boolean]>([
  ['no', badly, false],
  ['no', qemu, false],
  ['on-failure', well, false],
  ['on-failure', badly, true],
  ['on-failure', killed, true],
  ['on-failure', qemu, true],
  ['on-failure', start, true],
  ['always', well, true],
  ['always', badly, true],
])('%s after %j: %s', (rule, cause, expected) => {
  expect(new Restarts(rule).after(cause, 0) !== undefined).toBe(expected)
})

test('ends that follow fast wait longer each time, up to a minute, and a steady run forgets that', () => {
  const restarts = new Restarts('always')
  const waits = Array.from({ length: 9 }, () => restarts.after(badly, 59_999))
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000))
  expect(restarts.after(well, 60_000)).toBe(1000)
  expect(restarts.after(well, 0)).toBe(2000)
})
