import { describe, expect, it } from 'vitest'

import { sourceOfBytes } from '../../../src/files/index.ts'
import { dropAttributes, dropDevices } from '../../../src/image/tree/drop-devices.ts'
import { applyLayer } from '../../../src/image/oci/layer.ts'
import { directory, flatten, type Directory } from '../../../src/image/tree/tree.ts'
import { UnpackBudget } from '../../../src/image/tree/unpack-budget.ts'
import { tarOf, type Member } from '../../fixtures/image/archive.ts'
import { codeOf } from '../../fixtures/code-of.ts'

async function applyAll(...layers: (readonly Member[])[]): Promise<Directory> {
  const root = directory()
  for (const members of layers) {
    await applyLayer(root, sourceOfBytes(await tarOf(members)), new UnpackBudget())
  }
  return root
}

/** Path and contents (or target, or kind) of every entry. */
async function listing(root: Directory): Promise<Record<string, string>> {
  const result: Record<string, string> = {}
  for (const { path, node } of flatten(root)) {
    if (node.kind === 'symlink') result[path] = `-> ${node.target}`
    else if (node.kind === 'directory') result[path] = 'directory'
    else if (node.kind !== 'file') result[path] = node.kind
    else {
      const chunks: Uint8Array[] = []
      for await (const chunk of node.content.chunks()) chunks.push(chunk)
      result[path] = Buffer.concat(chunks).toString()
    }
  }
  return result
}

/** The archive with every byte of `from` in its headers replaced, and their checksums put right. */
function withBytes(tar: Buffer, { from, to }: { from: string; to: number }): Buffer {
  const bytes = Buffer.from(tar)
  for (let block = 0; block < bytes.length; block += 512) {
    const header = bytes.subarray(block, block + 512)
    if (header.toString('latin1', 257, 262) !== 'ustar') continue
    header.forEach((byte, index) => {
      if (byte === from.charCodeAt(0)) header[index] = to
    })
    putSumRight(header)
  }
  return bytes
}

function putSumRight(header: Buffer): void {
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
}

const dir = (name: string): Member => ({ name, type: 'directory', mode: 0o755 })
const link = (name: string, linkname: string): Member => ({ name, type: 'link', linkname })
const symlink = (name: string, linkname: string): Member => ({ name, type: 'symlink', linkname })

describe('applyLayer', () => {
  it('lets a later layer replace and add files', async () => {
    const root = await applyAll(
      [dir('etc'), { name: 'etc/a', data: 'one' }, { name: 'etc/b', data: 'two' }],
      [
        { name: './etc/b', data: 'three' },
        { name: 'etc/c', data: 'four' },
      ],
    )
    expect(await listing(root)).toEqual({
      etc: 'directory',
      'etc/a': 'one',
      'etc/b': 'three',
      'etc/c': 'four',
    })
  })

  it('removes what a whiteout names, and keeps the same name in its own layer', async () => {
    const root = await applyAll(
      [dir('d'), { name: 'd/a', data: 'old' }, { name: 'd/b', data: 'old' }],
      [
        { name: 'd/a', data: 'new' },
        { name: 'd/.wh.a' },
        { name: 'd/.wh.b' },
        { name: '.wh.none' },
      ],
    )
    expect(await listing(root)).toEqual({ d: 'directory', 'd/a': 'new' })
  })

  it('empties an opaque directory of the layers below, wherever the whiteout stands', async () => {
    const root = await applyAll(
      [dir('d'), dir('d/sub'), { name: 'd/sub/x', data: 'old' }],
      [{ name: 'd/new', data: 'kept' }, { name: 'd/.wh..wh..opq' }],
    )
    expect(await listing(root)).toEqual({ d: 'directory', 'd/new': 'kept' })
  })

  it('keeps contents of a directory whose attributes a later layer changes', async () => {
    const root = await applyAll(
      [dir('d'), { name: 'd/a', data: 'x' }],
      [{ ...dir('d'), mode: 0o1777, uid: 5 }],
    )
    expect(await listing(root)).toEqual({ d: 'directory', 'd/a': 'x' })
    expect(root.entries.get('d')?.attributes).toMatchObject({ mode: 0o1777, uid: 5, gid: 0 })
  })

  it('makes hard links two names of one file, which keeps its contents when one is replaced', async () => {
    const root = await applyAll(
      [{ name: 'a', data: 'x' }, link('b', 'a')],
      [{ name: 'a', data: 'y' }],
    )
    expect(await listing(root)).toEqual({ a: 'y', b: 'x' })
  })

  it('carries setuid, sticky and owners of the image', async () => {
    const root = await applyAll([{ name: 'su', mode: 0o4755, uid: 0, gid: 42, data: 'x' }])
    expect(root.entries.get('su')?.attributes).toMatchObject({ mode: 0o4755, uid: 0, gid: 42 })
  })

  it('keeps device nodes apart, so that they can be left out, and named pipes', async () => {
    const root = await applyAll([
      dir('dev'),
      { name: 'dev/null', type: 'character-device' },
      { name: 'etc/sda', type: 'block-device' },
      { name: 'pipe', type: 'fifo' },
    ])
    expect(dropDevices(root)).toEqual([
      'device nodes and sockets are left out of the image: /dev/null, /etc/sda',
    ])
    expect(await listing(root)).toEqual({ dev: 'directory', etc: 'directory', pipe: 'fifo' })
  })

  it('takes absolute names, the root and absolute hard links as kaniko writes them', async () => {
    const members = [
      { ...dir('/'), mode: 0o711 },
      { name: '/usr/bin/x', data: 'x' },
    ]
    const root = await applyAll([...members, link('/usr/bin/y', '/usr/bin/x')])
    expect(await listing(root)).toMatchObject({ 'usr/bin/x': 'x', 'usr/bin/y': 'x' })
    expect(root.attributes.mode).toBe(0o711)
  })

  it('lets the last of two entries win', async () => {
    const twice = [
      { name: 'a', data: '1' },
      { name: './a', data: '2' },
    ]
    expect(await listing(await applyAll(twice))).toEqual({ a: '2' })
    expect(await listing(await applyAll([...twice, dir('a')]))).toEqual({ a: 'directory' })
    expect(await listing(await applyAll([dir('a'), { name: 'a/b' }, ...twice]))).toEqual({ a: '2' })
  })

  it('applies entries and whiteouts below a link where the link leads', async () => {
    const root = await applyAll(
      [
        dir('usr'),
        dir('usr/bin'),
        symlink('bin', 'usr/bin'),
        symlink('usr/sbin', '/bin'),
        { name: 'usr/bin/secret', data: 'x' },
      ],
      [{ name: 'bin/.wh.secret' }, { name: 'usr/sbin/tool', data: 'y' }],
    )
    expect(await listing(root)).toEqual({
      bin: '-> usr/bin',
      usr: 'directory',
      'usr/bin': 'directory',
      'usr/bin/tool': 'y',
      'usr/sbin': '-> /bin',
    })
  })

  it('keeps names and link targets that are not UTF-8 as bytes', async () => {
    const tar = await tarOf([{ name: 'a?b', data: 'x' }, symlink('l', 't?')])
    const root = directory()
    const patched = withBytes(tar, { from: '?', to: 0xff })
    await applyLayer(root, sourceOfBytes(patched), new UnpackBudget())
    expect(await listing(root)).toEqual({ 'a\xffb': 'x', l: '-> t\xff' })
  })

  it.each([
    ['in base-256, before 1970', Buffer.from('ffffffffffffffffffffffff', 'hex'), {}, 0],
    ['in base-256, after 2106', Buffer.from('800000007fffffffffffffff', 'hex'), {}, 2 ** 32 - 1],
    ['in base-256', Buffer.from('800000000000000000000007', 'hex'), {}, 7],
    ['in octal, between spaces', Buffer.from('    00017   '), {}, 15],
    ['in octal, that is left out', Buffer.alloc(12), {}, 0],
    ['in pax, with a sign', Buffer.alloc(12), { mtime: '+5' }, 5],
    ['in pax, just before the next second', Buffer.alloc(12), { mtime: '7.999999999999' }, 7],
    ['in pax, before 1970', Buffer.alloc(12), { mtime: '-0.5' }, 0],
    ['in pax, in nanoseconds', Buffer.alloc(12), { mtime: '1700000000000000000' }, 2 ** 32 - 1],
  ])('takes a time %s', async (_, field, pax, expected) => {
    const tar = await tarOf([{ name: 'a', pax }])
    // The last header is the one of the file.
    const at = tar.lastIndexOf('ustar') - 257
    const header = tar.subarray(at, at + 512)
    field.copy(header, 136)
    putSumRight(header)
    const root = directory()
    await applyLayer(root, sourceOfBytes(tar), new UnpackBudget())
    expect(root.entries.get('a')?.attributes.mtime).toBe(expected)
  })

  it('keeps extended attributes, and says which files lose them in a ramdisk', async () => {
    const pax = { 'SCHILY.xattr.security.capability': '\x01\x00\x00\x02' }
    const root = await applyAll([{ name: 'ping', data: 'x', pax }])
    expect([...(root.entries.get('ping')?.attributes.xattrs ?? [])]).toEqual([
      ['security.capability', Buffer.from('\x01\x00\x00\x02', 'latin1')],
    ])
    expect(dropAttributes(root, 'cpio')).toHaveLength(1)
    expect([...(root.entries.get('ping')?.attributes.xattrs ?? [])]).toEqual([])
  })

  it('keeps what SquashFS has a place for, and nothing that steers the overlay above it', async () => {
    const names = ['security.capability', 'user.a', 'trusted.overlay.redirect']
    const pax = Object.fromEntries(
      [...names, 'system.posix_acl_access'].map((name) => [`SCHILY.xattr.${name}`, 'x']),
    )
    const root = await applyAll([{ name: 'ping', data: 'x', pax }])
    expect(dropAttributes(root, 'squashfs')).toHaveLength(1)
    const kept = root.entries.get('ping')?.attributes.xattrs ?? new Map<string, Uint8Array>()
    expect([...kept.keys()]).toEqual(['security.capability', 'user.a'])
  })

  it('reads names and link targets longer than a tar header has room for', async () => {
    const long = `${'n'.repeat(200)}/${'m'.repeat(200)}`
    const root = await applyAll([{ name: long, data: 'x' }, symlink('l', `/${long}`)])
    expect(await listing(root)).toMatchObject({ [long]: 'x', l: `-> /${long}` })
  })

  it.each<[string, readonly Member[], string]>([
    ['a path that climbs out', [{ name: '../evil', data: 'x' }], 'ERR_IMAGE_PATH'],
    ['a path that climbs out halfway', [{ name: 'a/../../evil', data: 'x' }], 'ERR_IMAGE_PATH'],
    [
      'a path through a link that leads out',
      [symlink('out', '../etc'), { name: 'out/passwd', data: 'x' }],
      'ERR_IMAGE_PATH',
    ],
    [
      'a whiteout through a link that leads out',
      [symlink('out', '../etc'), { name: 'out/.wh.passwd' }],
      'ERR_IMAGE_PATH',
    ],
    [
      'links in a circle',
      [symlink('a', 'b'), symlink('b', 'a'), { name: 'a/x', data: 'x' }],
      'ERR_IMAGE_PATH',
    ],
    ['a path of 300 directories', [{ name: 'd/'.repeat(300) + 'f', data: 'x' }], 'ERR_IMAGE_PATH'],
    ['a link to nothing', [symlink('l', '')], 'ERR_IMAGE_ENTRY'],
    ['a link that no kernel takes', [symlink('l', 'x'.repeat(4096))], 'ERR_IMAGE_ENTRY'],
    [
      'a path through a file',
      [
        { name: 'f', data: 'x' },
        { name: 'f/g', data: 'x' },
      ],
      'ERR_IMAGE_PATH',
    ],
    ['a hard link that climbs out', [link('l', '../../etc/shadow')], 'ERR_IMAGE_PATH'],
    ['a hard link to nothing', [link('l', 'none')], 'ERR_IMAGE_ENTRY'],
    ['a hard link to a directory', [dir('d'), link('l', 'd')], 'ERR_IMAGE_ENTRY'],
    ['a name of 256 bytes', [{ name: 'n'.repeat(256), data: 'x' }], 'ERR_IMAGE_PATH'],
    ['a root that is a file', [{ name: './', type: 'symlink', linkname: 'x' }], 'ERR_IMAGE_ENTRY'],
  ])('refuses %s', async (_, members, code) => {
    expect(await codeOf(applyAll(members))).toBe(code)
  })

  it('refuses more entries than the budget has', async () => {
    const members = Array.from({ length: 11 }, (_, index) => ({ name: `f${String(index)}` }))
    const budget = new UnpackBudget({ bytes: 1000, entries: 10 })
    const applied = applyLayer(directory(), sourceOfBytes(await tarOf(members)), budget)
    expect(await codeOf(applied)).toBe('ERR_IMAGE_LIMIT')
  })

  it('refuses a damaged header, a truncated member and a forged length', async () => {
    const tar = await tarOf([{ name: 'file', data: 'x'.repeat(600) }])
    const apply = (bytes: Uint8Array) =>
      codeOf(applyLayer(directory(), sourceOfBytes(bytes), new UnpackBudget()))
    expect(await apply(tar)).toBe('accepted')
    for (let offset = 0; offset < 512; offset++) {
      const flipped = Uint8Array.from(tar)
      flipped[offset] = (flipped[offset] ?? 0) ^ 1
      expect(await apply(flipped), `byte ${String(offset)}`).toMatch(/^(accepted|ERR_IMAGE_)/)
      // The checksum is six octal digits, a NUL and a space: only those last two are free.
      if (offset < 148 || offset > 155) expect(await apply(flipped)).toBe('ERR_IMAGE_TAR')
    }
    for (const length of [1, 511, 513, 1000, 1111]) {
      expect(await apply(tar.subarray(0, length)), String(length)).toBe('ERR_IMAGE_TAR')
    }
  })
})
