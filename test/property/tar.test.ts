// Archives whose headers have right checksums and wrong everything else.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { sourceOfBytes } from '../../src/files/index.ts'
import { cpioOf } from '../../src/image/ramdisk/cpio.ts'
import { dropDevices } from '../../src/image/tree/drop-devices.ts'
import { applyLayer } from '../../src/image/oci/layer.ts'
import { directory, flatten } from '../../src/image/tree/tree.ts'
import { UnpackBudget } from '../../src/image/tree/unpack-budget.ts'
import { codeOf } from '../fixtures/code-of.ts'

const BLOCK = 512

interface RawMember {
  readonly typeflag: string
  readonly name: Uint8Array
  readonly linkName: Uint8Array
  readonly magic: string
  /** As the field says, whatever the data is. */
  readonly size: string
  readonly body: Uint8Array
  /** Bytes written anywhere in the header, before the checksum is made. */
  readonly patches: readonly (readonly [number, number])[]
}

function encode({ typeflag, name, linkName, magic, size, body, patches }: RawMember): Buffer {
  const header = Buffer.alloc(BLOCK)
  header.set(name.subarray(0, 100), 0)
  header.write('0000644\u00000000000\u00000000000\u0000', 100, 'latin1')
  header.write(size, 124, 12, 'latin1')
  header.write(typeflag, 156, 1, 'latin1')
  header.set(linkName.subarray(0, 100), 157)
  header.write(magic, 257, 'latin1')
  for (const [offset, value] of patches) header[offset] = value
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  const padded = Buffer.alloc(Math.ceil(body.length / BLOCK) * BLOCK)
  padded.set(body)
  return Buffer.concat([header, padded])
}

const bytes = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength })
const pathBytes = fc
  .array(fc.constantFrom('a', 'b', '/', '.', '..', '.wh.', '.wh..wh..opq', '\u00ff'), {
    maxLength: 8,
  })
  .map((parts) => Uint8Array.from(Buffer.from(parts.join(''), 'latin1')))
const record = fc
  .tuple(
    fc.constantFrom(
      'path',
      'linkpath',
      'size',
      'uid',
      'GNU.sparse.major',
      'GNU.sparse.map',
      'GNU.sparse.realsize',
      'GNU.sparse.offset',
      'SCHILY.xattr.user.a',
    ),
    fc.constantFrom('', '1', '0,1', 'a/b', '-1', '99999999999999', '../x', '/', '0,1,5,1'),
  )
  .map(([key, value]) => {
    const rest = ` ${key}=${value}\n`
    const length = rest.length + String(rest.length + 2).length
    return `${String(length)}${rest}`
  })
const body = fc.oneof(
  bytes(40),
  fc.array(record, { maxLength: 4 }).map((list) => Uint8Array.from(Buffer.from(list.join('')))),
)

const member: fc.Arbitrary<RawMember> = fc
  .record({
    typeflag: fc.constantFrom(...Array.from('01234567xgLKSVMD'), '\0'),
    name: fc.oneof(pathBytes, bytes(100)),
    linkName: fc.oneof(pathBytes, bytes(100)),
    magic: fc.constantFrom('ustar\u000000', 'ustar  \0', ''),
    lie: fc.option(fc.constantFrom('77777777777', '-1', '00000000001', '\u0080\u0001'), {
      freq: 5,
    }),
    body,
    patches: fc.array(fc.tuple(fc.nat(BLOCK - 1), fc.nat(255)), { maxLength: 2 }),
  })
  .map(({ lie, ...rest }) => ({
    ...rest,
    size: lie ?? rest.body.length.toString(8).padStart(11, '0'),
  }))

describe('an archive of hostile headers', () => {
  it('is applied or refused with a coded error, and no name in the tree leads anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(member, { maxLength: 6 }), async (members) => {
        const root = directory()
        const budget = new UnpackBudget({
          bytes: 1e7,
          entries: 1000,
          metadataBytes: 1e6,
          steps: 1e5,
        })
        const tar = sourceOfBytes(Buffer.concat(members.map(encode)))
        expect(await codeOf(applyLayer(root, tar, budget))).toMatch(/^(accepted|ERR_IMAGE_)/)
        dropDevices(root)
        for (const { path } of flatten(root)) {
          expect(path.split('/').every((name) => !['', '.', '..'].includes(name))).toBe(true)
        }
        const content = cpioOf(root)
        let size = 0
        for await (const chunk of content.chunks()) size += chunk.length
        expect(size).toBe(content.size)
      }),
      { numRuns: 1000 },
    )
  })
})
