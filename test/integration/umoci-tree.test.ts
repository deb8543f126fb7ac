// The tree that umoci unpacks is what a runtime would see; ours is the same, file by file, over a corpus
// of layers as the field makes them: by Go's builders, kaniko, GNU tar and Python. So is what Debian's
// unsquashfs finds in the file system image that is made of it.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstat, readFile, readdir, readlink, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { ignoreProgress } from '../../src/image/progress.ts'
import { squashfsOf } from '../../src/image/root/squashfs.ts'
import { bytesOfName, nameOfText } from '../../src/image/tree/byte-name.ts'
import { readLayeredSource } from '../../src/image/sources/layered-source.ts'
import { flatten, type Directory, type TreeNode } from '../../src/image/tree/tree.ts'
import { tarOf, writeLayout, type Member } from '../fixtures/image/archive.ts'
import { codeOf } from '../fixtures/code-of.ts'
import { makeScratch } from '../fixtures/temporary-directory.ts'
import { tool } from '../fixtures/image/image-workbench.ts'

const isRoot = process.getuid?.() === 0

/** Path to facts; hard links are named by the first of their paths. */
type Census = Record<string, string>

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16)
}

function facts(
  kind: string,
  { mode, uid, gid }: { mode: number; uid: number; gid: number },
): string {
  return `${kind} ${(mode & 0o7777).toString(8)} ${String(uid)}:${String(gid)}`
}

async function censusOfTree(root: Directory): Promise<Census> {
  const result: Census = { '': facts('directory', root.attributes) }
  const first = new Map<TreeNode, string>()
  for (const { path, node } of flatten(root)) {
    const known = first.get(node)
    if (node.kind !== 'directory') first.set(node, known ?? path)
    result[path] = known === undefined ? await describeNode(node) : `= ${known}`
  }
  return result
}

async function describeNode(node: TreeNode): Promise<string> {
  const text = facts(node.kind, node.attributes)
  const xattrs = [...(node.attributes.xattrs ?? [])]
    .map(([name, value]) => ` ${name}=${Buffer.from(value).toString('hex')}`)
    .sort()
    .join('')
  if (node.kind === 'symlink') return `${text} -> ${node.target}${xattrs}`
  if (node.kind !== 'file') return text + xattrs
  const chunks: Uint8Array[] = []
  for await (const chunk of node.content.chunks()) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  return `${text} ${String(node.content.size)} ${digest(bytes)}${xattrs}`
}

async function censusOfDisk(root: string): Promise<Census> {
  const top = await lstat(root)
  const result: Census = { '': facts('directory', top) }
  const first = new Map<number, string>()
  const attributes = xattrsBelow(root)
  const visit = async (directory: string, inside: string): Promise<void> => {
    const names = (await readdir(bytesOfName(directory), { encoding: 'latin1' })).sort()
    for (const name of names) {
      const host = `${directory}/${name}`
      const path = inside === '' ? name : `${inside}/${name}`
      const status = await lstat(bytesOfName(host))
      const known = status.isDirectory() ? undefined : first.get(status.ino)
      if (!status.isDirectory()) first.set(status.ino, known ?? path)
      result[path] = known === undefined ? await describeFile(host, attributes) : `= ${known}`
      if (status.isDirectory()) await visit(host, path)
    }
  }
  await visit(nameOfText(root), '')
  return result
}

async function describeFile(
  host: string,
  attributes: ReadonlyMap<string, string>,
): Promise<string> {
  const path = bytesOfName(host)
  const status = await lstat(path)
  const xattrs = attributes.get(host) ?? ''
  if (status.isDirectory()) return facts('directory', status) + xattrs
  if (status.isFIFO()) return facts('fifo', status) + xattrs
  if (status.isSymbolicLink()) {
    return `${facts('symlink', status)} -> ${await readlink(path, 'latin1')}${xattrs}`
  }
  if (!status.isFile()) return facts('device', status)
  return `${facts('file', status)} ${String(status.size)} ${digest(await readFile(path))}${xattrs}`
}

/** Host path to attributes, as `getfattr --dump` lists them: `# file: PATH`, then `name=0xhex`. */
function xattrsBelow(root: string): ReadonlyMap<string, string> {
  const args = ['-R', '-h', '-d', '-m', '-', '-e', 'hex', '--absolute-names', root]
  const blocks = execFileSync('getfattr', args, { encoding: 'latin1' }).split('\n\n')
  return new Map(
    blocks.map((block) => {
      const [title = '', ...lines] = block.trim().split('\n')
      const path = title.replace('# file: ', '').replace(/\\(\d{3})/g, unescape)
      return [
        path,
        lines
          .map((line) => ` ${line.replace('=0x', '=')}`)
          .sort()
          .join(''),
      ]
    }),
  )
}

function unescape(_: string, octal: string): string {
  return String.fromCharCode(parseInt(octal, 8))
}

const dir = (name: string, mode = 0o755): Member => ({ name, type: 'directory', mode })
const link = (name: string, linkname: string): Member => ({ name, type: 'link', linkname })
const symlink = (name: string, linkname: string): Member => ({ name, type: 'symlink', linkname })
const base: readonly Member[] = [
  dir('usr'),
  dir('usr/bin'),
  symlink('bin', 'usr/bin'),
  { name: 'usr/bin/secret', data: 's' },
  { name: 'usr/bin/tool', data: 't', mode: 0o4755, uid: 3, gid: 4 },
  dir('etc', 0o711),
  { name: 'etc/a', data: 'a', mode: 0o600 },
  { name: 'etc/b', data: 'b' },
]

const corpus: [string, readonly (readonly Member[])[]][] = [
  [
    'the root and absolute names, as kaniko',
    [[dir('/', 0o711), { name: '/usr/bin/x', data: 'x' }, link('/usr/bin/y', '/usr/bin/x')]],
  ],
  [
    'names with ./',
    [[dir('./', 0o755), dir('./a'), { name: './a/b', data: 'x' }, link('./a/c', './a/b')]],
  ],
  ['no parent directories', [[{ name: 'deep/down/file', data: 'x', mode: 0o640 }]]],
  [
    'a file twice',
    [
      [
        { name: 'a', data: '1' },
        { name: 'a', data: '22', mode: 0o600 },
      ],
    ],
  ],
  [
    'a file over a directory, and back',
    [
      [dir('d'), { name: 'd/x', data: 'x' }],
      [{ name: 'd', data: 'now a file' }],
      [dir('d'), { name: 'd/y' }],
    ],
  ],
  ['a directory over a link', [base, [dir('bin'), { name: 'bin/new', data: 'n' }]]],
  ['an entry below a link', [base, [{ name: 'bin/added', data: 'n' }]]],
  ['a whiteout below a link', [base, [{ name: 'bin/.wh.secret' }]]],
  [
    'an entry below an absolute link',
    [[...base, symlink('opt', '/usr/local')], [{ name: 'opt/x', data: 'x' }]],
  ],
  [
    'an entry below a chain of links',
    [
      [...base, symlink('b2', 'bin'), symlink('usr/b3', '../b2')],
      [{ name: 'usr/b3/x', data: 'x' }],
    ],
  ],
  ['a hard link below a link', [base, [link('bin/secret2', 'bin/secret')]]],
  ['a hard link to a file of a lower layer', [base, [link('etc/c', 'etc/a')]]],
  ['a hard link to a symbolic link', [[...base, link('bin2', 'bin')]]],
  [
    'a linked file that is replaced',
    [[...base, link('etc/c', 'etc/a')], [{ name: 'etc/a', data: 'new' }]],
  ],
  ['a whiteout of a linked file', [[...base, link('etc/c', 'etc/a')], [{ name: 'etc/.wh.a' }]]],
  ['a whiteout of a directory', [base, [{ name: '.wh.usr' }]]],
  [
    'a whiteout before its replacement',
    [base, [{ name: '.wh.etc' }, dir('etc'), { name: 'etc/new', data: 'n' }]],
  ],
  [
    'a whiteout after its replacement',
    [base, [dir('etc', 0o700), { name: 'etc/new', data: 'n' }, { name: '.wh.etc' }]],
  ],
  [
    'an opaque directory',
    [base, [dir('etc'), { name: 'etc/.wh..wh..opq' }, { name: 'etc/new', data: 'n' }]],
  ],
  [
    'an opaque directory after its contents',
    [base, [{ name: 'etc/new', data: 'n' }, { name: 'etc/.wh..wh..opq' }]],
  ],
  ['a whiteout of nothing', [base, [{ name: 'none/.wh.x' }, { name: '.wh.none' }]]],
  [
    'modes that change',
    [
      base,
      [dir('etc', 0o1777), { name: 'etc/a', data: 'a', mode: 0o6711, uid: 100000, gid: 65534 }],
    ],
  ],
  ['a named pipe', [[{ name: 'pipe', type: 'fifo', mode: 0o620 }]]],
  [
    'long names',
    [
      [
        { name: `${'n'.repeat(200)}/${'m'.repeat(255)}`, data: 'x' },
        symlink('l', `/${'t/'.repeat(300)}`),
      ],
    ],
  ],
  ['names of other scripts', [[{ name: 'grüße/日本', data: 'x' }, symlink('l', 'grüße')]]],
  [
    'extended attributes',
    [
      [
        {
          name: 'ping',
          data: 'x',
          mode: 0o755,
          pax: {
            'SCHILY.xattr.security.capability':
              '\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00',
          },
        },
        { ...dir('d'), pax: { 'SCHILY.xattr.user.note': 'hello', 'SCHILY.xattr.user.%41 b': '=' } },
        { name: 'p', type: 'fifo', pax: { 'SCHILY.xattr.trusted.x': 'several\nlines' } },
      ],
    ],
  ],
  [
    'blocks of every kind',
    [
      [
        { name: 'large', data: 'a block '.repeat(50_000) },
        { name: 'holes', data: `${'\0'.repeat(400_000)}end` },
        { name: 'exact', data: '\0'.repeat(2 ** 17) },
        { name: 'empty' },
      ],
    ],
  ],
  [
    'more names than a block of a directory holds',
    [Array.from({ length: 3000 }, (_, at) => ({ name: `${'n'.repeat(40)}${String(at)}` }))],
  ],
]

type Unpack = (layout: string, into: string) => Promise<unknown>

/** Unpacks to `into/rootfs`. */
const umoci: Unpack = (layout, into) => tool('umoci', 'unpack', '--image', `${layout}:latest`, into)

async function compare(layers: readonly Buffer[], unpack = umoci): Promise<void> {
  const scratch = await makeScratch()
  const layout = join(scratch, 'layout')
  await writeLayout(layout, { layers })
  await unpack(layout, join(scratch, 'bundle'))
  await using source = await readLayeredSource(
    { transport: 'oci', path: layout },
    { architecture: 'x86_64' },
  )
  const expected = await censusOfDisk(join(scratch, 'bundle/rootfs'))
  expect(await censusOfTree(source.root)).toEqual(expected)
  const image = join(scratch, 'image')
  await writeSquashfs(source.root, image)
  await tool('unsquashfs', '-quiet', '-no-progress', '-dest', join(scratch, 'squash'), image)
  expect(await censusOfDisk(join(scratch, 'squash'))).toEqual(expected)
}

async function writeSquashfs(root: Directory, path: string): Promise<void> {
  await using image = await squashfsOf(root, ignoreProgress)
  await writeFile(path, image.chunks())
}

describe.runIf(isRoot)('the tree of an image is the one that umoci unpacks', () => {
  it.each(corpus)('with %s', async (_, layers) => {
    await compare(await Promise.all(layers.map((members) => tarOf(members))))
  })

  it.each([
    ['gnu', '--format=gnu'],
    ['ustar', '--format=ustar'],
    ['pax', '--format=posix'],
    ['v7', '--format=v7'],
    ['sparse in a GNU header', '--format=gnu --sparse'],
    ['sparse in pax 0.0', '--format=posix --sparse --sparse-version=0.0'],
    ['sparse in pax 0.1', '--format=posix --sparse --sparse-version=0.1'],
    ['sparse in pax 1.0', '--format=posix --sparse --sparse-version=1.0'],
  ])('with an archive of GNU tar, %s', async (_, flags) => {
    const scratch = await makeScratch()
    const script = `
      set -e
      mkdir tree tree/dir && cd tree
      truncate -s 3M holes && printf data | dd of=holes bs=1 seek=1500000 conv=notrunc status=none
      for i in $(seq 0 60); do printf "extent $i" | dd of=many bs=1 seek=$((i * 100000)) conv=notrunc status=none; done
      truncate -s 8M many
      : > empty; truncate -s 1M only-a-hole
      echo x > dir/plain; ln dir/plain dir/hard; ln -s plain dir/soft; chmod 4711 dir/plain
      cd .. && tar -C tree --sort=name --numeric-owner ${flags} -cf layer.tar .`
    execFileSync('sh', ['-c', script], { cwd: scratch })
    const archive = join(scratch, 'layer.tar')
    const layer = await readFile(archive)
    await rm(join(scratch, 'tree'), { recursive: true })
    // umoci does not know this form; GNU tar itself does.
    const gnuTar: Unpack = (_layout, into) =>
      tool('sh', '-c', 'mkdir -p "$1/rootfs" && tar -C "$1/rootfs" -xpf "$0"', archive, into)
    await compare([layer], flags.endsWith('gnu --sparse') ? gnuTar : umoci)
  })

  it('with names that are not UTF-8', async () => {
    const scratch = await makeScratch()
    const script = `mkdir tree && cd tree && printf x > "$(printf 'a\\377b')" && ln -s "$(printf '\\376')" l
      tar --format=gnu -cf ../layer.tar .`
    execFileSync('sh', ['-c', script], { cwd: scratch })
    await compare([await readFile(join(scratch, 'layer.tar'))])
  })
})

describe('what leads out of the root', () => {
  it.each<[string, readonly Member[]]>([
    ['by its name', [{ name: '../evil', data: 'x' }]],
    ['through a link', [symlink('out', '../../etc'), { name: 'out/evil', data: 'x' }]],
    ['through a hard link', [link('l', '../../etc/shadow')]],
    ['through a hard link below a link', [symlink('out', '..'), link('l', 'out/etc/shadow')]],
  ])('%s is a coded error', async (_, members) => {
    const layout = join(await makeScratch(), 'layout')
    await writeLayout(layout, { layers: [await tarOf(members)] })
    const read = readLayeredSource({ transport: 'oci', path: layout }, { architecture: 'x86_64' })
    expect(await codeOf(read)).toMatch(/^ERR_IMAGE_(PATH|ENTRY)$/)
  })
})
