// What cloister-squashfs has written, read back: every file with its attributes and contents.

import { createHash, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'

import { contentOfBytes, type ListedFile } from '../../../src/eif/index.ts'
import { sourceOfBytes } from '../../../src/files/index.ts'
import { listSquashfs } from '../../../src/image/inspect/squashfs-list.ts'
import { ignoreProgress } from '../../../src/image/progress.ts'
import { squashfsOf } from '../../../src/image/root/squashfs.ts'
import {
  directory,
  file,
  flatten,
  type Directory,
  type RegularFile,
  type TreeNode,
} from '../../../src/image/tree/tree.ts'

const BLOCK = 128 * 1024
const TYPES = { directory: 0o040000, file: 0o100000, symlink: 0o120000, fifo: 0o010000 } as const
const owned = { mode: 0o640, uid: 1000, gid: 0xffff_fffe }

const contents = new Map<TreeNode, Uint8Array>()
function fileOf(bytes: Uint8Array, attributes: object = {}): RegularFile {
  const node = file(contentOfBytes(bytes))
  node.attributes = { ...node.attributes, ...attributes }
  contents.set(node, bytes)
  return node
}

function makeTree(): Directory {
  const capability = new Map([['security.capability', randomBytes(20)]])
  const both = new Map([...capability, ['user.a', Buffer.from('b')]])
  const linked = Object.assign(fileOf(randomBytes(5000)), { isLinked: true })
  const zeros = Buffer.alloc(3 * BLOCK)
  const many = Array.from({ length: 3000 }, (_, index): [string, TreeNode] => [
    `a name of some length ${String(index)}`,
    fileOf(Buffer.from(String(index)), { uid: index }),
  ])
  return directory(0o751, [
    ['empty', fileOf(new Uint8Array())],
    ['one block', fileOf(randomBytes(BLOCK))],
    ['blocks and an end', fileOf(randomBytes(3 * BLOCK + 17), { xattrs: capability })],
    ['words', fileOf(Buffer.from('a text '.repeat(100_000)), { mode: 0o4755, xattrs: both })],
    ['zeros', fileOf(zeros)],
    ['a hole', fileOf(Buffer.concat([randomBytes(BLOCK), zeros, randomBytes(9)]), owned)],
    ['first', linked],
    ['second', linked],
    ['latin1 \xe4', fileOf(Buffer.from('x'))],
    ['link', { kind: 'symlink', attributes: { mode: 0o777, uid: 0, gid: 0 }, target: '/usr/bin' }],
    ['pipe', { kind: 'fifo', attributes: owned }],
    ['many', directory(0o755, many)],
    ['no', directory(0o700, [['files', directory(0o755)]])],
  ])
}

function expected(root: Directory): Map<string, ListedFile> {
  const nodes = [{ path: '', node: root as TreeNode }, ...flatten(root)]
  return new Map(nodes.map(({ path, node }) => [path, listed(node)]))
}

function listed(node: TreeNode): ListedFile {
  const { mode, uid, gid, xattrs } = node.attributes
  const target = node.kind === 'symlink' ? node.target : ''
  const bytes = node.kind === 'symlink' ? Buffer.from(target) : contents.get(node)
  const words = [...(xattrs ?? [])].map(
    ([name, it]) => `${name}=${Buffer.from(it).toString('hex')}`,
  )
  const hasDigest = bytes !== undefined && bytes.length > 0
  return {
    ...{ mode: TYPES[node.kind as keyof typeof TYPES] | mode, uid, gid, mtime: 0, target },
    size: bytes?.length ?? 0,
    sha384: hasDigest ? createHash('sha384').update(bytes).digest('hex') : '',
    ...(words.length > 0 && { xattrs: words.sort().join(' ') }),
  }
}

async function bytesOf(root: Directory): Promise<Uint8Array> {
  await using image = await squashfsOf(root, ignoreProgress)
  const chunks: Uint8Array[] = []
  for await (const chunk of image.chunks()) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe('the files of a SquashFS image', () => {
  let tree: Directory
  let image: Uint8Array
  beforeAll(async () => {
    tree = makeTree()
    image = await bytesOf(tree)
  })

  test('are listed with names, types, owners, attributes and contents', async () => {
    const files = await listSquashfs(sourceOfBytes(image))
    expect(files).toEqual(expected(tree))
  })

  test('of an image that is cut short are not listed', async () => {
    for (const end of [0, 4, 95, 96, 1000, image.length >> 1, image.length - 8192])
      expect(await listSquashfs(sourceOfBytes(image.subarray(0, end))), String(end)).toBeUndefined()
    expect(await listSquashfs(sourceOfBytes(randomBytes(10_000)))).toBeUndefined()
  })

  test('of a damaged image are listed or not, and nothing is thrown', async () => {
    const small = await bytesOf(
      directory(0o755, [
        ['a', fileOf(Buffer.from('a text '.repeat(1000)))],
        [
          'd',
          directory(0o755, [
            ['b', fileOf(randomBytes(100), { xattrs: new Map([['user.a', randomBytes(3)]]) })],
          ]),
        ],
        ['l', { kind: 'symlink', attributes: owned, target: 'a' }],
      ]),
    )
    const positions = fc.array(
      fc.tuple(fc.nat(small.length - 1), fc.integer({ min: 1, max: 255 })),
      {
        minLength: 1,
        maxLength: 4,
      },
    )
    await fc.assert(
      fc.asyncProperty(positions, async (flips) => {
        const damaged = Uint8Array.from(small)
        for (const [at, bits] of flips) damaged[at] = (damaged[at] ?? 0) ^ bits
        const files = await listSquashfs(sourceOfBytes(damaged))
        if (files !== undefined) expect(files.size).toBeLessThan(1000)
      }),
      { numRuns: 2000 },
    )
  })
})
