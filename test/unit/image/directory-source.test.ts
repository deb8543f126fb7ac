import { execFileSync } from 'node:child_process'
import { renameSync, symlinkSync } from 'node:fs'
import { chmod, chown, link, mkdir, open, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'

import { cpioOf } from '../../../src/image/ramdisk/cpio.ts'
import {
  readDirectorySource,
  type DirectoryOptions,
} from '../../../src/image/sources/directory-source.ts'
import { HeldDirectory } from '../../../src/image/sources/held-directory.ts'
import { dropDevices } from '../../../src/image/tree/drop-devices.ts'
import { flatten } from '../../../src/image/tree/tree.ts'
import { UnpackBudget } from '../../../src/image/tree/unpack-budget.ts'
import { codeOf } from '../../fixtures/code-of.ts'
import { makeScratch } from '../../fixtures/temporary-directory.ts'

const isRoot = process.getuid?.() === 0
const SET_ATTRIBUTE =
  'import os, sys; os.setxattr(bytes.fromhex(sys.argv[1]), sys.argv[2], bytes.fromhex(sys.argv[3]))'
/** Version 2, effective; as `setcap cap_net_raw=ep` writes it. */
const CAP_NET_RAW = '0100000200200000000000000000000000000000'

describe('readDirectorySource', () => {
  it('keeps modes, setuid among them, and with the rule of git what git keeps', async () => {
    const path = await makeScratch()
    await mkdir(join(path, 'dir'))
    await chmod(join(path, 'dir'), 0o1770)
    for (const [name, mode] of [
      ['dir/setuid', 0o4711],
      ['dir/secret', 0o600],
      ['dir/umask-002', 0o664],
    ] as const) {
      await writeFile(join(path, name), 'x')
      await chmod(join(path, name), mode)
    }
    const modes = async (rule: 'keep' | 'git'): Promise<unknown> =>
      [...flatten(await readDirectorySource(path, { modes: rule }))].map((entry) => [
        entry.path,
        entry.node.attributes.mode.toString(8),
      ])
    expect(await modes('keep')).toEqual([
      ['dir', '1770'],
      ['dir/secret', '600'],
      ['dir/setuid', '4711'],
      ['dir/umask-002', '644'],
    ])
    expect(await modes('git')).toEqual([
      ['dir', '755'],
      ['dir/secret', '644'],
      ['dir/setuid', '755'],
      ['dir/umask-002', '644'],
    ])
  })

  it('keeps attributes and file capabilities of whatever a file is called, when asked to', async () => {
    const path = await makeScratch()
    const odd = Buffer.concat([Buffer.from(`${path}/dir/`), Buffer.from([0x20, 0xff, 0x0a])])
    await mkdir(join(path, 'dir'))
    await writeFile(odd, 'x')
    await symlink('nowhere', join(path, 'link'))
    await writeFile(join(path, 'plain'), 'x')
    const set = (name: string, value: string, file: string | Buffer): void => {
      execFileSync('python3', ['-c', SET_ATTRIBUTE, Buffer.from(file).toString('hex'), name, value])
    }
    set('user.empty', '', path)
    set('user.mime', '6100ff', odd)
    if (isRoot) set('security.capability', CAP_NET_RAW, join(path, 'plain'))
    if (isRoot) set('trusted.host', '01', join(path, 'plain'))
    const found = async (options: DirectoryOptions): Promise<unknown> => {
      const root = await readDirectorySource(path, options)
      return [{ path: '', node: root }, ...flatten(root)].flatMap((entry) =>
        [...(entry.node.attributes.xattrs ?? [])].map(([name, value]) => [
          entry.path,
          name,
          Buffer.from(value).toString('hex'),
        ]),
      )
    }
    expect(await found({ attributes: true })).toEqual([
      ['', 'user.empty', ''],
      ['dir/ \xff\n', 'user.mime', '6100ff'],
      ...(isRoot ? [['plain', 'security.capability', CAP_NET_RAW]] : []),
    ])
    expect(await found({ attributes: true, modes: 'git' })).toEqual([])
    expect(await found({})).toEqual([])
  })

  it('counts attributes against the limit on names and attributes', async () => {
    const path = await makeScratch()
    execFileSync('python3', [
      '-c',
      SET_ATTRIBUTE,
      Buffer.from(path).toString('hex'),
      'user.a',
      'ab'.repeat(3000),
    ])
    const budget = new UnpackBudget({ metadataBytes: 1000 })
    expect(await codeOf(readDirectorySource(path, { attributes: true, budget }))).toBe(
      'ERR_IMAGE_LIMIT',
    )
  })

  it.runIf(isRoot)('makes the owner of the top directory root, and keeps the others', async () => {
    const path = await makeScratch()
    for (const name of ['mine', 'theirs']) await writeFile(join(path, name), 'x')
    const owners = async (options?: DirectoryOptions): Promise<unknown> =>
      [...flatten(await readDirectorySource(path, options))].map(({ node }) => [
        node.attributes.uid,
        node.attributes.gid,
      ])
    await chown(join(path, 'theirs'), 1000, 50)
    const asRoot = await owners()
    expect(asRoot).toEqual([
      [0, 0],
      [1000, 50],
    ])
    await chown(path, 2000, 2001)
    await chown(join(path, 'mine'), 2000, 2001)
    expect(await owners()).toEqual(asRoot)
    const one = { owner: { uid: 7, gid: 8 } }
    expect(await owners(one)).toEqual([
      [7, 8],
      [7, 8],
    ])
  })

  it('takes a symbolic link as it is and never follows it', async () => {
    const path = await makeScratch()
    await symlink('/etc', join(path, 'etc'))
    const entries = [...flatten(await readDirectorySource(path))]
    expect(entries.map(({ node }) => node)).toMatchObject([{ kind: 'symlink', target: '/etc' }])
  })

  it('keeps hard links one file', async () => {
    const path = await makeScratch()
    await writeFile(join(path, 'a'), 'x'.repeat(1000))
    for (let index = 0; index < 100; index++)
      await link(join(path, 'a'), join(path, `b${String(index)}`))
    const root = await readDirectorySource(path, { budget: new UnpackBudget({ bytes: 1000 }) })
    expect(new Set([...flatten(root)].map(({ node }) => node)).size).toBe(1)
    expect(cpioOf(root).size).toBeLessThan(20_000)
  })

  it('leaves out sockets and device nodes, and keeps named pipes, without opening any', async () => {
    const path = await makeScratch()
    const server = createServer().listen(join(path, 'socket'))
    onTestFinished(() => void server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    execFileSync('mkfifo', [join(path, 'pipe')])
    if (isRoot) execFileSync('mknod', [join(path, 'node'), 'c', '1', '5'])
    const root = await readDirectorySource(path)
    expect(dropDevices(root)).toHaveLength(1)
    expect([...root.entries.keys()]).toEqual(['pipe'])
    expect(cpioOf(root).size).toBeGreaterThan(0)
  })

  it('keeps a name that is not UTF-8', async () => {
    const path = await makeScratch()
    await writeFile(Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0xff])]), 'x')
    expect([...(await readDirectorySource(path)).entries.keys()]).toEqual(['\xff'])
  })

  it('refuses what is not there, not a directory, or more than the budget', async () => {
    const path = await makeScratch()
    await writeFile(join(path, 'file'), 'xx')
    const budget = (bytes: number, entries: number) => ({
      budget: new UnpackBudget({ bytes, entries }),
    })
    expect(await codeOf(readDirectorySource(join(path, 'none')))).toBe('ERR_IMAGE_SOURCE_MISSING')
    expect(await codeOf(readDirectorySource(join(path, 'file')))).toBe('ERR_IMAGE_SOURCE_MISSING')
    expect(await codeOf(readDirectorySource(path, budget(1, 9)))).toBe('ERR_IMAGE_LIMIT')
    expect(await codeOf(readDirectorySource(path, budget(9, 0)))).toBe('ERR_IMAGE_LIMIT')
    expect(await codeOf(readDirectorySource(path, budget(2, 1)))).toBe('accepted')
  })
})

describe('a tree that another user changes meanwhile', () => {
  it('never leads out of itself through a link that takes the place of a directory', async () => {
    const scratch = await makeScratch()
    const at = (name: string): string => join(scratch, name)
    for (const name of ['root', 'root/dir', 'secrets']) await mkdir(at(name))
    await writeFile(at('root/dir/harmless'), 'x')
    await writeFile(at('secrets/secret'), 'x')
    let looks = 0
    const options = {
      /** Asked for after a directory was seen, the top one first, and before its names are read. */
      get owner() {
        looks += 1
        if (looks === 2) renameSync(at('root/dir'), at('root/aside'))
        if (looks === 2) symlinkSync(at('secrets'), at('root/dir'))
        return { uid: 0, gid: 0 }
      },
    }
    const tree = await readDirectorySource(at('root'), options)
    expect([...flatten(tree)].map(({ path }) => path)).toEqual(['dir', 'dir/harmless'])
    await using root = await HeldDirectory.named(Buffer.from(at('root')))
    await expect(root.enter('dir')).rejects.toMatchObject({ code: 'ENOTDIR' })
  })
})

describe('the contents of a member', () => {
  it('are refused when it was changed, removed or replaced since it was seen', async () => {
    const scratch = await makeScratch()
    const path = join(scratch, 'file')
    await writeFile(path, 'contents')
    const node = (await readDirectorySource(scratch)).entries.get('file')
    const drain = async (): Promise<void> => {
      if (node?.kind !== 'file') throw new TypeError()
      for await (const chunk of node.content.chunks()) expect(chunk.length).toBeLessThan(9)
    }
    expect(await codeOf(drain())).toBe('accepted')
    await using file = await open(path, 'r+')
    await file.truncate(3)
    expect(await codeOf(drain())).toBe('ERR_IMAGE_SOURCE_CHANGED')
    await rm(path)
    expect(await codeOf(drain())).toBe('ERR_IMAGE_SOURCE_MISSING')
    await symlink('/etc/passwd', path)
    expect(await codeOf(drain())).toBe('ERR_IMAGE_SOURCE_MISSING')
    await rm(path)
    execFileSync('mkfifo', [path])
    expect(await codeOf(drain())).toBe('ERR_IMAGE_SOURCE_MISSING')
  })
})
