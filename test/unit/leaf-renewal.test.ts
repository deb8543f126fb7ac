import { expect, it } from 'vitest'
import { LeafRenewal, type Leaf } from '../../src/chip/index.ts'

const HOUR = 60 * 60 * 1000
const start = Date.UTC(2026, 0, 1)
const after = (hours: number): Date => new Date(start + hours * HOUR)

function threeHourLeaf(at: Date): Leaf {
  const notBefore = new Date(at.getTime() - 3000)
  const notAfter = new Date(at.getTime() + 3 * HOUR)
  return { certificate: new Uint8Array(1), cabundle: [], notBefore, notAfter }
}

/** Counts what is issued; `fail` makes issuing fail from now on. */
function issuer(): { issue: (at: Date) => Promise<Leaf>; issued: Date[]; fail: Error | undefined } {
  const state = {
    issued: [] as Date[],
    fail: undefined as Error | undefined,
    issue: async (at: Date): Promise<Leaf> => {
      state.issued.push(at)
      await Promise.resolve()
      if (state.fail) throw state.fail
      return threeHourLeaf(at)
    },
  }
  return state
}

it('keeps a leaf while more than an hour is left', async () => {
  const source = issuer()
  const leaves = new LeafRenewal(source.issue)
  const first = await leaves.current(after(0))
  expect(await leaves.current(after(1.9))).toBe(first)
  expect(source.issued.length).toBe(1)
})

it('serves the old leaf while it renews in the last hour, then the new one', async () => {
  const source = issuer()
  const leaves = new LeafRenewal(source.issue)
  const first = await leaves.current(after(0))
  expect(await leaves.current(after(2.1))).toBe(first)
  await Promise.resolve()
  await new Promise(setImmediate)
  const renewed = await leaves.current(after(2.1))
  expect(renewed.notAfter).toEqual(after(5.1))
  expect(source.issued.length).toBe(2)
})

it('issues once for many who ask at the same moment', async () => {
  const source = issuer()
  const leaves = new LeafRenewal(source.issue)
  await Promise.all(Array.from({ length: 10 }, () => leaves.current(after(0))))
  expect(source.issued.length).toBe(1)
})

it('never gives a leaf that is expired or not yet valid', async () => {
  const source = issuer()
  const leaves = new LeafRenewal(source.issue)
  await leaves.current(after(0))
  expect((await leaves.current(after(4))).notAfter).toEqual(after(7))
  expect((await leaves.current(after(-4))).notAfter).toEqual(after(-1))
})

it('serves the old leaf through failed renewals, and reports them once it has expired', async () => {
  const source = issuer()
  const leaves = new LeafRenewal(source.issue)
  const first = await leaves.current(after(0))
  source.fail = new Error('busy')
  expect(await leaves.current(after(2.5))).toBe(first)
  await new Promise(setImmediate)
  expect(await leaves.current(after(2.501))).toBe(first)
  expect(source.issued.length).toBe(2)
  await expect(leaves.current(after(3.1))).rejects.toBe(source.fail)
  source.fail = undefined
  expect((await leaves.current(after(3.2))).notAfter).toEqual(after(6.2))
})
