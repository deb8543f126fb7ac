// A guest fills its part of the journal and no more: what the host has to say stays readable.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Journal } from '../../src/keeper/journal.ts'
import { temporaryDirectory } from '../fixtures/temporary-directory.ts'

const KIB = 1024
/** Events of a busy day. */
const A_DAY = 1_000_000

test('the lines of a guest leave room for those of the host, and the journal stays bounded', async () => {
  await using directory = await temporaryDirectory()
  const read = (): string => readFileSync(directory.join('journal.log'), 'utf8')
  const journal = new Journal(directory.path)
  for (let n = 0; n < A_DAY; n++) journal.writeOfGuest(`guest ${'x'.repeat(100)}`)
  expect(read().length).toBeLessThan(49 * KIB)
  expect(read().match(/further lines of the guest are dropped/g)).toHaveLength(1)
  journal.write('the host speaks')
  journal.writeOfGuest('guest once more')
  expect(read()).toMatch(/the host speaks\n$/)
  for (let n = 0; n < A_DAY; n++) journal.write(`host ${'x'.repeat(100)}`)
  expect(read().length).toBeGreaterThan(63 * KIB)
  expect(read().length).toBeLessThanOrEqual(64 * KIB)
})

test('text with line breaks and control characters cannot pass for a line of the host', async () => {
  await using directory = await temporaryDirectory()
  const journal = new Journal(directory.path)
  journal.write('QEMU ended: x\n2026-01-01T00:00:00.000Z the app started\u001b[2J')
  const [first, second] = readFileSync(directory.join('journal.log'), 'utf8').split('\n')
  expect(first).toMatch(/ QEMU ended: x$/)
  expect(second).toBe('  | 2026-01-01T00:00:00.000Z the app started?[2J')
})
