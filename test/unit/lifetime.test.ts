// What is owned together ends together, whatever one of them does.

import { expect, test } from 'vitest'
import { Lifetime } from '../../src/subprocess/index.ts'

test('a thing that never goes, and one that cannot, hold up none of the others', async () => {
  const lifetime = new Lifetime()
  const ended: string[] = []
  const own = (name: string, end: () => Promise<void>): Promise<unknown> =>
    lifetime.own({
      [Symbol.asyncDispose]: () => {
        ended.push(name)
        return end()
      },
    })
  await own('first', () => Promise.resolve())
  await own('broken', () => Promise.reject(new Error('it stays')))
  await own('hanging', () => new Promise(() => undefined))
  void lifetime[Symbol.asyncDispose]()
  await Promise.resolve()
  expect(ended.toSorted()).toEqual(['broken', 'first', 'hanging'])
})

test('what comes after the end is ended at once', async () => {
  const lifetime = new Lifetime()
  await lifetime[Symbol.asyncDispose]()
  let isEnded = false
  const late = lifetime.own({
    [Symbol.asyncDispose]: () => {
      isEnded = true
      return Promise.resolve()
    },
  })
  await expect(late).rejects.toMatchObject({ code: 'ERR_PROCESS_ABANDONED' })
  expect(isEnded).toBe(true)
})
