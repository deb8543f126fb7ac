// What the broker keeps of its store in memory: bounded, and only as long as nothing has changed.

import { expect, test } from 'vitest'
import { Recent } from '../../../src/kms/store/recent.ts'

test('a value is read once, and again when something has changed', () => {
  let [version, reads] = [1, 0]
  const recent = new Recent<number>(() => version)
  const read = (): number => recent.get('a', () => (reads += 1))
  expect([read(), read()]).toEqual([1, 1])
  version = 2
  expect([read(), read()]).toEqual([2, 2])
  version = Number.NaN
  expect([read(), read()]).toEqual([3, 4])
})

test('10,000 keys stay, of which each has a policy of 2 KB', () => {
  let reads = 0
  const recent = new Recent<string>(
    () => 0,
    (value) => value.length,
  )
  const policy = 'x'.repeat(2048)
  for (let round = 0; round < 2; round++) {
    for (let key = 0; key < 10_000; key++)
      recent.get(String(key), () => {
        reads += 1
        return policy
      })
  }
  expect(reads).toBe(10_000)
})

test('what was read first makes room for large values', () => {
  const recent = new Recent<number>(
    () => 0,
    (value) => value,
  )
  const size = 10 * 1024 * 1024
  for (const name of ['a', 'b', 'c', 'd']) recent.get(name, () => size)
  const isKept = (name: string): boolean => recent.get(name, () => 0) === size
  expect(['d', 'c'].map(isKept)).toEqual([true, true])
  expect(isKept('a')).toBe(false)
})
