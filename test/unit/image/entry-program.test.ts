// A program that cannot start is told when the image is built.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { contentOfBytes } from '../../../src/eif/index.ts'
import { whyNoEntry } from '../../../src/image/config/entry-program.ts'
import { makeRunConfig, type ImageConfig } from '../../../src/image/config/run-config.ts'
import { directory, file, type Directory, type TreeNode } from '../../../src/image/tree/tree.ts'

const user = { uid: 0, gid: 0, groups: [] }
const attributes = { mode: 0o777, uid: 0, gid: 0 }
const program = (text: string | Uint8Array, mode = 0o755): TreeNode =>
  file(contentOfBytes(Buffer.from(text)), mode)
const link = (target: string): TreeNode => ({ kind: 'symlink', attributes, target })
/** Static: without a loader. */
const elf = Buffer.alloc(64, '\x7fELF\x02\x01', 'latin1')

function dynamic(loader: string): Buffer {
  const bytes = Buffer.concat([elf, Buffer.alloc(56), Buffer.from(`${loader}\0`)])
  bytes.fill(0, 6, 64)
  bytes.writeBigUInt64LE(64n, 32)
  bytes.writeUInt16LE(56, 54)
  bytes.writeUInt16LE(1, 56)
  bytes.writeUInt32LE(3, 64)
  bytes.writeBigUInt64LE(120n, 72)
  bytes.writeBigUInt64LE(BigInt(loader.length + 1), 96)
  return bytes
}

const root: Directory = directory(0o755, [
  ['app', program(elf)],
  ['text', program('hello', 0o644)],
  ['up', link('../../app')],
  ['nowhere', link('/gone')],
  ['bin', link('usr/bin')],
  ['usr', directory(0o755, [['bin', directory(0o755, [['sh', program(elf)]])]])],
  ['script', program('#! /bin/sh -e\necho')],
  ['python', program('#!/usr/bin/python3\n')],
  ['glibc', program(dynamic('/lib64/ld-linux-x86-64.so.2'))],
  [
    'srv',
    directory(0o755, [
      ['real', program('#!/app\n')],
      ['lost', program('#!app\n')],
    ]),
  ],
])

function problem(entrypoint: string, more: Partial<ImageConfig> = {}): Promise<string | undefined> {
  const image = { entrypoint: [entrypoint], cmd: [], env: [], workdir: '', user: '', ...more }
  return whyNoEntry(root, makeRunConfig(image, user))
}

test.each([
  ['/app', {}],
  ['app', { env: ['PATH=/usr/bin:/'] }],
  ['sh', {}],
  ['/bin/sh', {}],
  ['./real', { workdir: '/srv' }],
  ['/script', {}],
  ['/up', {}],
  ['/proc/self/exe', {}],
] as const)('%s with %o may start', async (entrypoint, more) => {
  expect(await problem(entrypoint, more)).toBeUndefined()
})

test.each([
  ['/gone', '/gone is not in the image'],
  ['app', 'app is not in the image'],
  ['/nowhere', '/nowhere is not in the image'],
  ['/text', '/text is not executable (its mode has no x)'],
  ['/usr', '/usr is not a regular file'],
  ['/python', '/python needs /usr/bin/python3, which is not in the image'],
  ['/glibc', '/glibc needs /lib64/ld-linux-x86-64.so.2, which is not in the image'],
])('%s will not: %s', async (entrypoint, reason) => {
  expect(await problem(entrypoint)).toBe(reason)
})

test('an interpreter without a slash in front is looked for in the working directory', async () => {
  expect(await problem('/srv/lost', { workdir: '/' })).toBeUndefined()
  expect(await problem('/srv/lost', { workdir: '/srv' })).toBe(
    '/srv/lost needs /srv/app, which is not in the image',
  )
})

test("the loader of this machine's own programs is found in their headers", async () => {
  const own = directory(0o755, [['node', program(readFileSync(process.execPath))]])
  const image = { entrypoint: ['/node'], cmd: [], env: [], workdir: '', user: '' }
  expect(await whyNoEntry(own, makeRunConfig(image, user))).toMatch(/^\/node needs \/lib.*ld-linux/)
})
