// Small inputs that unpack to much, or cost much to follow: each ends with a coded error, or within the
// memory that docs/limits.md states, in a process of its own whose peak is measured by the kernel.

import { spawn } from 'node:child_process'
import { mkdir, readFile, readdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'

import { contentOfBytes, writeEif } from '../../src/eif/index.ts'
import { writeOutputFile } from '../../src/files/index.ts'
import { digestOf, tarOf, writeLayout, type Member } from '../fixtures/image/archive.ts'
import { writeSparseArchive } from '../fixtures/image/sparse-archive.ts'
import { makeScratch } from '../fixtures/temporary-directory.ts'
import { compileCli, makeBlobs } from '../fixtures/image/image-workbench.ts'

beforeAll(compileCli)

const MIB = 1024 * 1024
const ZSTD_LAYER = 'application/vnd.oci.image.layer.v1.tar+zstd'
/** What Node needs to start and load the command. */
const BASE_MIB = 150

interface Run {
  readonly code: string | undefined
  /** Peak resident memory, VmHWM. */
  readonly peakMib: number
}

/** Runs the command and reads its peak memory from within, just before it ends. */
async function run(...args: readonly string[]): Promise<Run> {
  const preload = `
    import { readFileSync, writeSync } from 'node:fs'
    process.on('exit', () => {
      const status = readFileSync('/proc/self/status', 'latin1')
      writeSync(3, /VmHWM:\\s+(\\d+)/.exec(status)[1])
    })`
  const main = join(import.meta.dirname, '../../bundle/cli/main.js')
  const flags = ['--import', `data:text/javascript,${encodeURIComponent(preload)}`]
  const child = spawn(process.execPath, [...flags, main, ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    timeout: 120_000,
  })
  const [stderr, peak] = await Promise.all([textOf(child.stdio[2]), textOf(child.stdio[3])])
  // The measurement itself works: no Node needs less.
  expect(Number(peak)).toBeGreaterThan(30 * 1024)
  return {
    code: /(ERR_\w+): /.exec(stderr)?.[1],
    peakMib: Number(peak) / 1024,
  }
}

async function textOf(stream: unknown): Promise<string> {
  let text = ''
  for await (const chunk of stream as AsyncIterable<Buffer>) text += chunk.toString()
  return text
}

/** Builds from a layout of one layer; nothing may be left behind. */
async function build(layers: readonly Buffer[], packed?: readonly Buffer[]): Promise<Run> {
  const scratch = await makeScratch()
  const layout = join(scratch, 'layout')
  await writeLayout(layout, { layers, ...(packed && { packed, layerType: ZSTD_LAYER }) })
  return buildFrom(scratch, `oci:${layout}`)
}

async function buildFrom(scratch: string, reference: string): Promise<Run> {
  const blobs = await makeBlobs(join(scratch, 'blobs'))
  const output = join(scratch, 'out')
  await mkdir(output)
  const flags = ['--blobs', blobs, '--output-file', join(output, 'x.eif')]
  const outcome = await run('build-enclave', '--docker-uri', reference, ...flags)
  if (outcome.code !== undefined) expect(await readdir(output)).toEqual([])
  return outcome
}

/** A zstd frame: magic, a header without content size, blocks. */
function zstdFrame(windowDescriptor: number, ...blocks: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, windowDescriptor]), ...blocks])
}

/** A block of up to 128 KiB of one byte, in four. */
function rleBlock(size: number, isLast: boolean): Buffer {
  const header = (size << 3) | (1 << 1) | (isLast ? 1 : 0)
  return Buffer.from([header & 255, (header >> 8) & 255, header >> 16, 0])
}

const EMPTY_TAR = Buffer.alloc(1024)
const dir = (name: string): Member => ({ name, type: 'directory' })

describe('a zstd layer', () => {
  it('with a window of 1 GiB is refused by its header', async () => {
    const { code, peakMib } = await build([EMPTY_TAR], [Buffer.from('28b52ffd00a0010000', 'hex')])
    expect(code).toBe('ERR_IMAGE_LIMIT')
    expect(peakMib).toBeLessThan(BASE_MIB)
  })

  it('with hundreds of frames of the largest window takes the memory of one', async () => {
    const frame = zstdFrame(0x88, rleBlock(1024, true))
    const frames = Buffer.concat(Array.from({ length: 300 }, () => frame))
    const { code, peakMib } = await build([Buffer.alloc(300 * 1024)], [frames])
    expect(code).toBeUndefined()
    expect(peakMib).toBeLessThan(BASE_MIB + 150)
  })

  it('with a large window only in its second frame is refused', async () => {
    const frames = Buffer.concat([
      zstdFrame(0x50, rleBlock(1024, true)),
      zstdFrame(0xa0, rleBlock(9, true)),
    ])
    const { code, peakMib } = await build([EMPTY_TAR], [frames])
    expect(code).toBe('ERR_IMAGE_LAYER')
    expect(peakMib).toBeLessThan(BASE_MIB)
  })

  it('of 100,000 tiny blocks takes time by its bytes, not by its window', async () => {
    const blocks = Array.from({ length: 100_000 }, (_, index) => rleBlock(8, index === 99_999))
    const { code, peakMib } = await build([Buffer.alloc(800_000)], [zstdFrame(0x88, ...blocks)])
    expect(code).toBeUndefined()
    expect(peakMib).toBeLessThan(BASE_MIB + 150)
  })
})

describe('a layer', () => {
  it('of deep directories is refused, and one at the bound is cheap', async () => {
    const deep = await build([await tarOf([{ name: `${'d/'.repeat(2000)}f` }])])
    expect(deep.code).toBe('ERR_IMAGE_PATH')
    const members = Array.from({ length: 2000 }, (_, index) => ({
      name: `${'d/'.repeat(200)}${String(index)}/${'e/'.repeat(50)}f`,
    }))
    const bushy = await build([await tarOf(members)])
    expect(bushy.peakMib).toBeLessThan(BASE_MIB + 150)
  })

  it('whose links lead through links is followed within the bound on steps', async () => {
    const names = 'd/../'.repeat(700)
    const chain = Array.from({ length: 38 }, (_, index) => ({
      name: `l${String(index)}`,
      type: 'symlink' as const,
      linkname: `${names}l${String(index + 1)}`,
    }))
    const members = Array.from({ length: 1500 }, (_, index) => ({ name: `l0/${String(index)}` }))
    const layer = await tarOf([dir('d'), ...chain, dir('l38'), ...members])
    const { code, peakMib } = await build([layer])
    expect(code).toBe('ERR_IMAGE_LIMIT')
    expect(peakMib).toBeLessThan(BASE_MIB + 50)
  })

  it('with pax headers that pile up before one entry is refused', async () => {
    const header = await tarOf([{ name: 'x', pax: { 'SCHILY.xattr.user.a': 'v'.repeat(500_000) } }])
    const one = header.subarray(0, 512 + Math.ceil(500_100 / 512) * 512)
    const { code, peakMib } = await build([Buffer.concat(Array.from({ length: 20 }, () => one))])
    expect(code).toBe('ERR_IMAGE_TAR')
    expect(peakMib).toBeLessThan(BASE_MIB + 100)
  })

  it('with attributes in every entry keeps each of their bytes once', async () => {
    const members = Array.from({ length: 60 }, (_, index) => ({
      name: `f${String(index)}`,
      pax: { 'SCHILY.xattr.user.a': 'v'.repeat(1_000_000) },
    }))
    const { code, peakMib } = await build([await tarOf(members)])
    expect(code).toBeUndefined()
    expect(peakMib).toBeLessThan(BASE_MIB + 4 * 60)
  })

  it('of sparse files pays for their size and their maps', async () => {
    const size = String(20 * 1024 ** 3)
    const pax = { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': size }
    const map = '1\n0\n0\n'.padEnd(512, '\0')
    const huge = await build([await tarOf([{ name: 'f', pax, data: map }])])
    expect(huge.code).toBe('ERR_IMAGE_LIMIT')
    const extents = `500000\n${'0\n0\n'.repeat(500_000)}`
    const many = Array.from({ length: 40 }, (_, index) => ({
      name: String(index),
      pax: { ...pax, 'GNU.sparse.realsize': '0' },
      data: extents.padEnd(Math.ceil(extents.length / 512) * 512, '\0'),
    }))
    const maps = await build([await tarOf(many)])
    expect(maps.code).toBe('ERR_IMAGE_LIMIT')
    expect(maps.peakMib).toBeLessThan(BASE_MIB + 512)
  })
})

/** Far more than the memory that a build may take. */
const LARGE = 400 * MIB
/** docs/limits.md: for a root of any size. */
const BUILD_MIB = 200

describe('a file of 400 MB', () => {
  async function makeSource(kind: 'dir' | 'docker-archive'): Promise<string> {
    const path = join(await makeScratch(), 'source')
    if (kind === 'docker-archive') await writeSparseArchive(path, LARGE)
    else {
      await mkdir(path)
      await writeFile(join(path, 'app'), '')
      await truncate(join(path, 'app'), LARGE)
    }
    return `${kind}:${path}`
  }

  // A compressed root takes the blobs of the set-up, whose kernel can mount it.
  it.each([
    ['in a directory, unpacked in the image', 'dir', 'cpio'],
    ['in a directory, compressed in the image', 'dir', 'squashfs'],
    ['in a layer, unpacked in the image', 'docker-archive', 'cpio'],
    ['in a layer, compressed in the image', 'docker-archive', 'squashfs'],
  ] as const)('%s, is never in memory as a whole', async (_, kind, root) => {
    const source = ['--docker-uri', await makeSource(kind), '--entrypoint', '/app']
    const fake = await makeBlobs(join(await makeScratch(), 'blobs'))
    const flags = ['--root', root, '--dry-run', ...(root === 'cpio' ? ['--blobs', fake] : [])]
    const { code, peakMib } = await run('build-enclave', ...source, ...flags)
    expect(code).toBeUndefined()
    expect(peakMib).toBeLessThan(BUILD_MIB)
  })
})

describe('a document of an image', () => {
  it('of nested or countless lists is refused before it is parsed', async () => {
    for (const text of ['['.repeat(MIB), `{"manifests":[${'[],'.repeat(MIB)}[]]}`]) {
      const scratch = await makeScratch()
      const layout = join(scratch, 'layout')
      await writeLayout(layout, { layers: [EMPTY_TAR] })
      await writeFile(join(layout, 'index.json'), text)
      const { code, peakMib } = await buildFrom(scratch, `oci:${layout}`)
      expect(code).toBe('ERR_IMAGE_LAYOUT')
      expect(peakMib).toBeLessThan(BASE_MIB + 30)
    }
  })

  it('and a whole archive of zeros, packed, are unpacked to the bound at most', async () => {
    const scratch = await makeScratch()
    const archive = join(scratch, 'image.tar.gz')
    await writeFile(archive, gzipSync(Buffer.alloc(64 * MIB)))
    const { code, peakMib } = await buildFrom(scratch, `docker-archive:${archive}`)
    expect(code).toBe('ERR_IMAGE_SOURCE_MISSING')
    expect(peakMib).toBeLessThan(BASE_MIB + 50)
  })
})

describe('the metadata of an enclave image', () => {
  it('nested 900 deep is refused when it is decoded', async () => {
    const scratch = await makeScratch()
    const path = join(scratch, 'deep.eif')
    let custom: unknown = 0
    for (let depth = 0; depth < 900; depth++) custom = { ['k'.repeat(500)]: custom }
    await writeOutputFile(path, (file) =>
      writeEif(
        {
          architecture: 'x86_64',
          kernel: contentOfBytes(Buffer.alloc(16, 1)),
          cmdline: 'quiet',
          metadata: {
            imageName: 'x',
            imageVersion: '1',
            build: {
              buildTime: '',
              buildTool: '',
              buildToolVersion: '',
              operatingSystem: '',
              kernelVersion: '',
            },
            dockerInfo: null,
            custom,
          },
          ramdisks: [contentOfBytes(Buffer.alloc(16, 1))],
        },
        file,
      ),
    )
    expect((await readFile(path)).length).toBeGreaterThan(400_000)
    const { code, peakMib } = await run('describe-eif', '--eif-path', path)
    expect(code).toBe('ERR_EIF_METADATA')
    expect(peakMib).toBeLessThan(BASE_MIB)
  })
})

describe('the digest of a packed layer', () => {
  it('is checked before zstd data is unpacked', async () => {
    const scratch = await makeScratch()
    const layout = join(scratch, 'layout')
    const packed = zstdFrame(0x50, rleBlock(1024, true))
    await writeLayout(layout, { layers: [EMPTY_TAR], packed: [packed], layerType: ZSTD_LAYER })
    const changed = Buffer.from(packed)
    changed[5] = 0xa0
    await writeFile(join(layout, 'blobs', digestOf(packed).replace(':', '/')), changed)
    expect((await buildFrom(scratch, `oci:${layout}`)).code).toBe('ERR_IMAGE_DIGEST')
  })
})
