// Files that a user names, of every kind that Linux has. The device nodes are the test's own.

import { execFileSync } from 'node:child_process'
import { createServer } from 'node:net'
import { lstat, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'

import { openInputFile, readInputFile, writeOutputFile } from '../../src/files/index.ts'
import { codeOf } from '../fixtures/code-of.ts'
import { makeScratch } from '../fixtures/temporary-directory.ts'

const isRoot = process.getuid?.() === 0
const CODE = 'ERR_IMAGE_BLOBS'

function device(path: string, minor: number): string {
  execFileSync('mknod', ['-m', '666', path, 'c', '1', String(minor)])
  return path
}

/** One path of every kind but a regular file and a device. */
async function specials(directory: string): Promise<readonly string[]> {
  const [fifo, folder, socket] = ['fifo', 'folder', 'socket'].map((name) => join(directory, name))
  if (fifo === undefined || folder === undefined || socket === undefined) throw new Error()
  execFileSync('mkfifo', [fifo])
  await mkdir(folder)
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  onTestFinished(() => void server.close())
  await symlink('fifo', join(directory, 'link'))
  return [fifo, folder, socket, join(directory, 'link')]
}

async function save(path: string, text: string): Promise<void> {
  await writeOutputFile(path, (file) => file.write(0, Buffer.from(text)))
}

describe('an input that the user named', () => {
  it('is a regular file, or refused at once, also through a link', async () => {
    const scratch = await makeScratch()
    const paths = [...(await specials(scratch)), join(scratch, 'missing')]
    for (const path of paths) {
      expect(await codeOf(openInputFile(path, CODE)), path).toBe(CODE)
      const read = async (): Promise<Buffer> =>
        Promise.resolve(readInputFile(path, { code: CODE, maxBytes: 10 }))
      expect(await codeOf(read()), path).toBe(CODE)
    }
  })

  it.runIf(isRoot)('is never a device, which may not end', async () => {
    const zero = device(join(await makeScratch(), 'zero'), 5)
    expect(await codeOf(openInputFile(zero, CODE))).toBe(CODE)
    expect(() => readInputFile(zero, { code: CODE, maxBytes: 10 })).toThrow('character device')
  })

  it('is read up to its bound only', async () => {
    const path = join(await makeScratch(), 'file')
    await writeFile(path, 'x'.repeat(100_000))
    expect(readInputFile(path, { code: CODE, maxBytes: 100_000 })).toHaveLength(100_000)
    expect(() => readInputFile(path, { code: CODE, maxBytes: 99_999 })).toThrow('99999')
  })
})

describe('an output that the user named', () => {
  it('is complete or absent, and what was there is untouched by a failure', async () => {
    const scratch = await makeScratch()
    const path = join(scratch, 'out')
    await save(path, 'old')
    const failing = writeOutputFile(path, async (file) => {
      await file.write(0, Buffer.from('half'))
      throw new RangeError()
    })
    await expect(failing).rejects.toThrow(RangeError)
    expect(await readdir(scratch)).toEqual(['out'])
    expect(await readFile(path, 'utf8')).toBe('old')
    await save(path, 'new')
    expect(await readFile(path, 'utf8')).toBe('new')
  })

  it('is written where a symbolic link leads, and the link stays', async () => {
    const scratch = await makeScratch()
    await mkdir(join(scratch, 'elsewhere'))
    await writeFile(join(scratch, 'elsewhere/file'), 'old')
    await symlink('elsewhere/file', join(scratch, 'one'))
    await symlink('one', join(scratch, 'two'))
    await save(join(scratch, 'two'), 'new')
    expect(await readFile(join(scratch, 'elsewhere/file'), 'utf8')).toBe('new')
    expect((await lstat(join(scratch, 'two'))).isSymbolicLink()).toBe(true)
    expect(await readdir(join(scratch, 'elsewhere'))).toEqual(['file'])
  })

  it('is never a directory, a FIFO, a socket or a link to nothing', async () => {
    const scratch = await makeScratch()
    await symlink('nothing', join(scratch, 'dangling'))
    const paths = [...(await specials(scratch)), join(scratch, 'dangling'), join(scratch, 'a/b')]
    const before = await readdir(scratch)
    for (const path of paths) {
      expect(await codeOf(save(path, 'x')), path).toBe('ERR_FILE_OUTPUT')
    }
    expect(await readdir(scratch)).toEqual(before)
  })

  it.runIf(isRoot)('passes through a device, which stays a device', async () => {
    const scratch = await makeScratch()
    const sink = device(join(scratch, 'sink'), 3)
    const written = await writeOutputFile(sink, async (file) => {
      await file.write(4, Buffer.from('body'))
      await file.write(0, Buffer.from('head'))
      return Buffer.from(await file.source(8).read(0, 8)).toString()
    })
    expect(written).toBe('headbody')
    expect((await lstat(sink)).isCharacterDevice()).toBe(true)
    const full = device(join(scratch, 'full'), 7)
    expect(await codeOf(save(full, 'x'))).toBe('ERR_FILE_OUTPUT')
    expect((await lstat(full)).isCharacterDevice()).toBe(true)
  })
})
