import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'

import { readLayeredSource } from '../../../src/image/sources/layered-source.ts'
import { UnpackBudget } from '../../../src/image/tree/unpack-budget.ts'
import { digestOf, tarOf, writeLayout, type LayoutParts } from '../../fixtures/image/archive.ts'
import { codeOf } from '../../fixtures/code-of.ts'
import { makeScratch } from '../../fixtures/temporary-directory.ts'

const options = { architecture: 'x86_64' } as const

async function read(path: string, tag?: string, budget?: UnpackBudget): Promise<void> {
  const reference = { transport: 'oci', path, ...(tag !== undefined && { tag }) } as const
  const options = { architecture: 'x86_64', ...(budget !== undefined && { budget }) } as const
  await using source = await readLayeredSource(reference, options)
  expect(source.root.entries.size).toBeGreaterThan(0)
}

async function layout(parts: Partial<LayoutParts> = {}): Promise<string> {
  const path = await makeScratch()
  await writeLayout(path, { layers: [await tarOf([{ name: 'app', data: 'x' }])], ...parts })
  return path
}

describe('readLayeredSource', () => {
  it('reads the configuration and the id of an image', async () => {
    const config = {
      Entrypoint: ['/app'],
      Cmd: null,
      Env: ['A=b'],
      WorkingDir: '/srv',
      User: 'daemon',
    }
    const path = await layout({ config })
    await using source = await readLayeredSource({ transport: 'oci', path }, options)
    expect(source.config).toEqual({
      entrypoint: ['/app'],
      cmd: [],
      env: ['A=b'],
      workdir: '/srv',
      user: 'daemon',
    })
    expect(source.id).toMatch(/^[0-9a-f]{64}$/)
  })

  it('refuses any blob with a flipped bit', async () => {
    const path = await layout()
    const blobs = join(path, 'blobs/sha256')
    for (const name of await readdir(blobs)) {
      const bytes = await readFile(join(blobs, name))
      const flipped = Buffer.from(bytes)
      flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] ?? 0) ^ 1
      await writeFile(join(blobs, name), flipped)
      expect(await codeOf(read(path))).toMatch(/^ERR_IMAGE_(DIGEST|LAYER|LAYOUT)$/)
      await writeFile(join(blobs, name), bytes)
    }
    expect(await codeOf(read(path))).toBe('accepted')
  })

  it('refuses a blob of another length, and one that is missing', async () => {
    const path = await layout()
    const blobs = join(path, 'blobs/sha256')
    for (const name of await readdir(blobs)) {
      const bytes = await readFile(join(blobs, name))
      await writeFile(join(blobs, name), Buffer.concat([bytes, Buffer.from('\n')]))
      expect(await codeOf(read(path))).toBe('ERR_IMAGE_DIGEST')
      await writeFile(join(blobs, name), bytes)
    }
    expect(await codeOf(read(join(path, 'none')))).toBe('ERR_IMAGE_SOURCE_MISSING')
  })

  it('refuses a layer that unpacks to something else than its diff_id', async () => {
    const path = await layout({ diffIds: [digestOf(Buffer.from('other'))] })
    expect(await codeOf(read(path))).toBe('ERR_IMAGE_DIGEST')
  })

  it.each([
    'none',
    'sha256:../../../etc/passwd',
    `sha256:${'A'.repeat(64)}`,
    `md5:${'a'.repeat(32)}`,
  ])('refuses the digest %s', async (digest) => {
    const path = await layout()
    const descriptor = { mediaType: 'x', size: 1, digest }
    await writeFile(join(path, 'index.json'), JSON.stringify({ manifests: [descriptor] }))
    expect(await codeOf(read(path))).toBe('ERR_IMAGE_LAYOUT')
  })

  it.each<[string, Partial<LayoutParts>, string]>([
    ['another architecture', { architecture: 'arm64' }, 'ERR_IMAGE_ARCHITECTURE'],
    ['an unknown kind of layer', { layerType: 'application/octet-stream' }, 'ERR_IMAGE_LAYOUT'],
    ['fewer diff_ids than layers', { diffIds: [] }, 'ERR_IMAGE_LAYOUT'],
    ['a layer that is not gzip', { packed: [Buffer.from('not gzip')] }, 'ERR_IMAGE_LAYER'],
    [
      'a layer that is not zstd',
      {
        packed: [Buffer.from('not zstd')],
        layerType: 'application/vnd.oci.image.layer.v1.tar+zstd',
      },
      'ERR_IMAGE_LAYER',
    ],
    ['a configuration of the wrong type', { config: { Cmd: 'text' } }, 'ERR_IMAGE_LAYOUT'],
  ])('refuses %s', async (_, parts, code) => {
    expect(await codeOf(read(await layout(parts)))).toBe(code)
  })

  it('selects by tag, and needs none for an image with two of them', async () => {
    const path = await layout({ tags: ['one', 'two'] })
    expect(await codeOf(read(path, 'two'))).toBe('accepted')
    expect(await codeOf(read(path, 'three'))).toBe('ERR_IMAGE_TAG')
    expect(await codeOf(read(path))).toBe('accepted')
  })

  it('stops a gzip bomb at the budget', async () => {
    const bomb = Buffer.alloc(64 * 1024 * 1024)
    const path = await layout({ layers: [bomb], packed: [gzipSync(bomb)] })
    const budget = new UnpackBudget({ bytes: 1024 * 1024, entries: 10 })
    expect(await codeOf(read(path, undefined, budget))).toBe('ERR_IMAGE_LIMIT')
  })

  it('refuses documents that are not JSON, not objects, or too long', async () => {
    for (const [text, code] of [
      ['{', 'ERR_IMAGE_LAYOUT'],
      ['[]', 'ERR_IMAGE_LAYOUT'],
      ['{"manifests":{}}', 'ERR_IMAGE_LAYOUT'],
      [' '.repeat(5 * 1024 * 1024), 'ERR_IMAGE_LIMIT'],
    ] as const) {
      const path = await layout()
      await writeFile(join(path, 'index.json'), text)
      expect(await codeOf(read(path))).toBe(code)
    }
  })

  it('reads an image out of a tar archive of the layout', async () => {
    const path = await layout()
    const names = ['oci-layout', 'index.json']
    for (const name of await readdir(join(path, 'blobs/sha256'))) names.push(`blobs/sha256/${name}`)
    const members = []
    for (const name of names)
      members.push({ name, data: await readFile(join(path, name), 'latin1') })
    const archive = await tarOf(
      members.map(({ name, data }) => ({ name, data: Buffer.from(data, 'latin1') as never })),
    )
    const file = join(path, 'image.tar')
    await writeFile(file, archive)
    await using source = await readLayeredSource({ transport: 'oci-archive', path: file }, options)
    expect([...source.root.entries.keys()]).toEqual(['app'])
  })
})
