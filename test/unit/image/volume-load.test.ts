// What an image has in its volumes, as the agent would copy it.

import { expect, test } from 'vitest'

import { contentOfBytes } from '../../../src/eif/index.ts'
import { volumeLoadOf } from '../../../src/image/root/volume-load.ts'
import { directory, file, type Directory, type TreeNode } from '../../../src/image/tree/tree.ts'

const link = (target: string): TreeNode => ({
  kind: 'symlink',
  attributes: { mode: 0o777, uid: 0, gid: 0 },
  target,
})
const ofPages = (pages: number): TreeNode => file(contentOfBytes(new Uint8Array(pages * 4096 - 1)))

function tree(): Directory {
  const shared = Object.assign(file(contentOfBytes(new Uint8Array(5000))), { isLinked: true })
  const library = directory(0o755, [
    ['one', shared],
    ['two', shared],
    ['inner', directory(0o755, [['three', ofPages(3)]])],
  ])
  return directory(0o755, [
    ['var', directory(0o755, [['lib', library]])],
    ['srv', directory(0o755, [['five', ofPages(5)]])],
    ['dev', directory(0o755, [['seven', ofPages(7)]])],
    ['data', link('/srv')],
    ['loop', link('loop')],
    ['out', link('../../srv')],
  ])
}

test('counts pages and names, those of a volume in another one once, and a file of two names too', () => {
  expect(volumeLoadOf(tree(), ['/srv', '/var/lib', '/var/lib/inner'])).toEqual({
    ...{ inodes: 5, pages: 10, largestInodes: 4, largestPages: 5 },
  })
})

test('follows links, and counts nothing for what the image does not have or the guest hides', () => {
  expect(volumeLoadOf(tree(), ['/data'])).toMatchObject({ inodes: 1, pages: 5 })
  for (const volume of ['/absent', '/dev', '/loop', '/out', '/srv/five'])
    expect(volumeLoadOf(tree(), [volume]), volume).toBeUndefined()
})
