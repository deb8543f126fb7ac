// A QEMU that ends with status 0 was ended by somebody: the record names the right one.

import { expect, test } from 'vitest'
import {
  causeInGuest,
  causeOfEnd,
  causeOnRequest,
  causingEnd,
  type Part,
} from '../../src/keeper/end-cause.ts'

const end = { code: 0, signal: null }
const qemu: Part = { name: 'QEMU', pid: 1, ended: Promise.resolve(end), lastWords: () => '' }
const exited = { event: 'exited', code: 3 } as const

test.each([
  ['host-signal', undefined, 'QEMU'],
  ['host-signal', { event: 'started', pid: 2 } as const, 'QEMU'],
  ['host-qmp-quit', undefined, 'QEMU'],
  ['guest-reset', undefined, 'guest'],
  ['guest-reset', exited, 'app'],
  ['guest-shutdown', exited, 'app'],
  ['guest-panic', undefined, 'guest'],
  [undefined, exited, 'app'],
  [undefined, undefined, 'guest'],
] as const)('%s after %o was %s', (reason, agent, first) => {
  expect(causeOfEnd(qemu, end, { agent, qemu: reason })).toMatchObject({ first })
})

test.each(['vsock card', 'NSM card'] as const)(
  'a %s that ends because QEMU went is not the cause, and one that just ends is',
  async (name) => {
    const card = { ...qemu, name }
    const noticed = { part: card, end, agent: exited }
    expect(await causingEnd(noticed, qemu)).toEqual({ part: qemu, end, agent: exited })
    const lasting = { ...qemu, ended: new Promise<never>(() => undefined) }
    expect(await causingEnd(noticed, lasting)).toBe(noticed)
    const killed = { ...noticed, end: { code: null, signal: 'SIGKILL' as const } }
    expect(await causingEnd(killed, qemu)).toBe(killed)
  },
)

test('a part that was killed or gave up is named with its status and its last words', () => {
  const card: Part = { ...qemu, name: 'vsock card', lastWords: () => 'held up by the VMM' }
  const last = { agent: undefined, qemu: undefined }
  const killed = causeOfEnd(card, { code: null, signal: 'SIGABRT' }, last)
  expect(killed).toMatchObject({ first: 'vsock card', signal: 'SIGABRT' })
  expect(killed.reason).toContain('held up by the VMM')
  const gaveUp = causeOfEnd(card, { code: 1, signal: null }, last)
  expect(gaveUp).toMatchObject({ first: 'vsock card', exitCode: 1 })
  expect(gaveUp.reason).toContain('held up by the VMM')
})

test.each([
  ['limit', /control group reached its memory limit of 516 MiB/],
  ['host', /no memory left/],
] as const)('a QEMU that was killed for want of memory is told as that: %s', (why, words) => {
  const memory = { why, limitBytes: 516 * 2 ** 20 }
  const last = { agent: exited, qemu: undefined, memory }
  const killed = causeOfEnd(qemu, { code: null, signal: 'SIGKILL' }, last)
  expect(killed).toMatchObject({ first: 'QEMU', signal: 'SIGKILL', outOfMemory: why })
  expect(killed.reason).toMatch(words)
  const another = causeOfEnd(qemu, { code: null, signal: 'SIGSEGV' }, last)
  expect(another).not.toHaveProperty('outOfMemory')
})

test('an app that ends because it was asked to is told as that, with what it did', () => {
  const cause = causeInGuest({ event: 'signaled', signal: 15 }, '')
  expect(causeOnRequest(cause, 'terminated on request')).toEqual({
    first: 'app',
    reason: 'terminated on request; the app was killed by signal 15 (SIGTERM)',
    signal: '15',
  })
})
