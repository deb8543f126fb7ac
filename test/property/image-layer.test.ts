import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { sourceOfBytes } from '../../src/files/index.ts'
import { cpioOf } from '../../src/image/ramdisk/cpio.ts'
import { applyLayer } from '../../src/image/oci/layer.ts'
import { directory, flatten } from '../../src/image/tree/tree.ts'
import { UnpackBudget } from '../../src/image/tree/unpack-budget.ts'
import { tarOf, type Member } from '../fixtures/image/archive.ts'
import { codeOf } from '../fixtures/code-of.ts'

const name = fc.stringMatching(/^[a-c.é]{1,3}$/).filter((text) => !/^\.{1,2}$/.test(text))
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'))
const member: fc.Arbitrary<Member> = fc.oneof(
  fc.record({ name: path, data: fc.string({ maxLength: 20 }), mode: fc.nat(0o7777) }),
  fc.record({ name: path, type: fc.constant('directory' as const), mode: fc.nat(0o7777) }),
  fc.record({ name: path, type: fc.constant('symlink' as const), linkname: path }),
  fc.record({ name: path, type: fc.constant('link' as const), linkname: path }),
)

function apply(bytes: Uint8Array, root = directory()): Promise<void> {
  return applyLayer(root, sourceOfBytes(bytes), new UnpackBudget({ bytes: 1e6, entries: 1000 }))
}

describe('a layer', () => {
  it('of random members is applied or refused with a coded error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(member, { maxLength: 8 }), async (members) => {
        expect(await codeOf(apply(await tarOf(members)))).toMatch(/^(accepted|ERR_IMAGE_)/)
      }),
    )
  })

  it('with random bytes in it is applied or refused with a coded error', async () => {
    const patches = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 })
    const members = fc.array(member, { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(members, patches, async (list, changes) => {
        const bytes = await tarOf(list)
        for (const [offset, value] of changes) bytes[offset % bytes.length] = value
        expect(await codeOf(apply(bytes))).toMatch(/^(accepted|ERR_IMAGE_)/)
      }),
    )
  })

  it('gives a ramdisk of the stated length, a multiple of 4, whatever the order of its members', async () => {
    const files = fc.uniqueArray(fc.tuple(name, fc.string({ maxLength: 20 })), {
      selector: ([text]) => text,
      maxLength: 6,
    })
    await fc.assert(
      fc.asyncProperty(files, async (list) => {
        const members = list.map(([text, data]) => ({ name: text, data }))
        const forward = await ramdisk(members)
        expect(forward.length % 4).toBe(0)
        expect(forward.equals(await ramdisk(members.toReversed()))).toBe(true)
      }),
    )
  })
})

async function ramdisk(members: readonly Member[]): Promise<Buffer> {
  const root = directory()
  await apply(await tarOf(members), root)
  expect([...flatten(root)]).toHaveLength(members.length)
  const content = cpioOf(root)
  const chunks: Uint8Array[] = []
  for await (const chunk of content.chunks()) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  expect(bytes.length).toBe(content.size)
  return bytes
}
