import { chmod, link, mkdir, open, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'

import { fileContent, readDirectorySource } from '../../../src/image/directory-source.ts'
import { flatten } from '../../../src/image/tree.ts'
import { UnpackBudget } from '../../../src/image/unpack-budget.ts'
import { codeOf, makeScratch } from './scratch.ts'

describe('readDirectorySource', () => {
  it('keeps of the modes only whether the owner may execute, and makes all root’s', async () => {
    const path = await makeScratch()
    await mkdir(join(path, 'dir'))
    await chmod(join(path, 'dir'), 0o1770)
    for (const [name, mode] of [
      ['dir/setuid', 0o4711],
      ['dir/secret', 0o600],
      ['dir/group-only', 0o610],
    ] as const) {
      await writeFile(join(path, name), 'x')
      await chmod(join(path, name), mode)
    }
    const entries = flatten(await readDirectorySource(path))
    expect(entries.map((entry) => [entry.path, entry.node.attributes])).toEqual([
      ['dir', { mode: 0o755, uid: 0, gid: 0 }],
      ['dir/group-only', { mode: 0o644, uid: 0, gid: 0 }],
      ['dir/secret', { mode: 0o644, uid: 0, gid: 0 }],
      ['dir/setuid', { mode: 0o755, uid: 0, gid: 0 }],
    ])
  })

  it('takes a symbolic link as it is and never follows it', async () => {
    const path = await makeScratch()
    await symlink('/etc', join(path, 'etc'))
    const entries = flatten(await readDirectorySource(path))
    expect(entries.map(({ node }) => node)).toMatchObject([{ kind: 'symlink', target: '/etc' }])
  })

  it('makes hard links two files, since a copy of the directory has none', async () => {
    const path = await makeScratch()
    await writeFile(join(path, 'a'), 'x')
    await link(join(path, 'a'), join(path, 'b'))
    const [a, b] = flatten(await readDirectorySource(path))
    expect(a?.node).not.toBe(b?.node)
  })

  it('refuses a socket', async () => {
    const path = await makeScratch()
    const server = createServer().listen(join(path, 'socket'))
    onTestFinished(() => void server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    expect(await codeOf(readDirectorySource(path))).toBe('ERR_IMAGE_ENTRY')
  })

  it('refuses a name that is not UTF-8', async () => {
    const path = await makeScratch()
    await writeFile(Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0xff])]), 'x')
    expect(await codeOf(readDirectorySource(path))).toBe('ERR_IMAGE_PATH')
  })

  it('refuses what is not there, not a directory, or more than the budget', async () => {
    const path = await makeScratch()
    await writeFile(join(path, 'file'), 'xx')
    const budget = (bytes: number, entries: number) => new UnpackBudget({ bytes, entries })
    expect(await codeOf(readDirectorySource(join(path, 'none')))).toBe('ERR_IMAGE_SOURCE_MISSING')
    expect(await codeOf(readDirectorySource(join(path, 'file')))).toBe('ERR_IMAGE_SOURCE_MISSING')
    expect(await codeOf(readDirectorySource(path, budget(1, 9)))).toBe('ERR_IMAGE_LIMIT')
    expect(await codeOf(readDirectorySource(path, budget(9, 0)))).toBe('ERR_IMAGE_LIMIT')
    expect(await codeOf(readDirectorySource(path, budget(2, 1)))).toBe('accepted')
  })
})

describe('fileContent', () => {
  async function drain(path: string, size: number): Promise<void> {
    for await (const chunk of fileContent(path, size).chunks()) expect(chunk.length).toBeLessThan(9)
  }

  it('refuses a file that was changed, removed or replaced by a link since it was seen', async () => {
    const path = join(await makeScratch(), 'file')
    await writeFile(path, 'contents')
    expect(await codeOf(drain(path, 8))).toBe('accepted')
    await using file = await open(path, 'r+')
    await file.truncate(3)
    expect(await codeOf(drain(path, 8))).toBe('ERR_IMAGE_SOURCE_CHANGED')
    await rm(path)
    expect(await codeOf(drain(path, 8))).toBe('ERR_IMAGE_SOURCE_MISSING')
    await symlink('/etc/passwd', path)
    expect(await codeOf(drain(path, 8))).toBe('ERR_IMAGE_SOURCE_MISSING')
  })
})
