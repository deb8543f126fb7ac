// What the ramdisks of an image become in memory, whatever they hold.

import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  encodeVolumeLoad,
  MemoryMeter,
  VOLUMES_FILE,
  type EifSection,
  type MemoryLoad,
} from '../../../src/eif/index.ts'
import { archiveOf } from '../../fixtures/eif/cpio.ts'

const LIMIT = 2 ** 30
const files = [
  { name: 'empty', bytes: new Uint8Array() },
  { name: 'a page', bytes: new Uint8Array(4096) },
  { name: 'a page and a byte', bytes: new Uint8Array(4097) },
  { name: 'directory', bytes: new Uint8Array(), mode: 0o040755 },
  { name: 'link', bytes: Buffer.from('target'), mode: 0o120777 },
]
/** The link's page is one that a ramfs takes and a tmpfs does not. */
const counted = { inodes: 5, pages: 4 }

async function measure(ramdisk: Uint8Array, chunkBytes = ramdisk.length): Promise<MemoryLoad> {
  const meter = new MemoryMeter(LIMIT)
  const section: EifSection = { type: 'ramdisk', offset: 0, size: ramdisk.length }
  for (let at = 0; at < ramdisk.length; at += chunkBytes) {
    await meter.push(section, ramdisk.subarray(at, at + chunkBytes))
  }
  return meter.end()
}

describe('a ramdisk', () => {
  const raw = archiveOf(files)

  test('is counted entry by entry, in whole pages', async () => {
    expect((await measure(raw)).unpacked).toMatchObject(counted)
  })

  test('counts the same in whatever pieces it comes, raw and packed', async () => {
    const { unpacked } = await measure(raw)
    for (const bytes of [1, 7, 110, 4096]) {
      expect((await measure(raw, bytes)).unpacked).toEqual(unpacked)
      expect((await measure(gzipSync(raw), bytes)).unpacked).toEqual(unpacked)
    }
  })

  test('may hold several archives, zeros between them, and a packed one at the end', async () => {
    const several = Buffer.concat([raw, new Uint8Array(512), raw, new Uint8Array(4), gzipSync(raw)])
    const { unpacked } = await measure(several)
    expect(unpacked).toMatchObject({ inodes: 15, pages: 12 })
  })

  test('may go on after a packed archive and zeros, as the kernel does', async () => {
    const gap = new Uint8Array(512)
    const packed = Buffer.concat([gzipSync(raw), gap, gzipSync(raw), gap, raw])
    for (const bytes of [packed.length, 1, 64])
      expect((await measure(packed, bytes)).unpacked).toMatchObject({ inodes: 15, pages: 12 })
  })

  test('hides nothing behind a trailer with a body', async () => {
    const trailer = Buffer.from(archiveOf([]))
    trailer.write('00000008', 54, 'latin1') // c_filesize
    const end = 110 + 'TRAILER!!!'.length + 1
    const body = Buffer.from('07070100', 'latin1')
    const disguised = Buffer.concat([trailer.subarray(0, end), new Uint8Array(3), body, raw])
    expect((await measure(disguised)).unpacked).toMatchObject(counted)
  })

  test('has members that stay where they are, of no type', async () => {
    const image = { name: 'rootfs.squashfs', bytes: new Uint8Array(9001), mode: 0 }
    const { unpacked } = await measure(archiveOf([...files, image]))
    expect(unpacked).toMatchObject({ inodes: 6, pages: 4, mountedBytes: 9001 })
  })

  test('keeps one file about volumes at the most, however often it is repeated', async () => {
    const file = archiveOf([{ name: VOLUMES_FILE, bytes: Buffer.alloc(4096, ' ') }])
    const meter = new MemoryMeter(LIMIT)
    const section: EifSection = { type: 'ramdisk', offset: 0, size: 20_000 * file.length }
    const before = process.memoryUsage().arrayBuffers
    for (let count = 0; count < 20_000; count++) await meter.push(section, file)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 2 ** 20)
    expect((await meter.end()).volumes).toEqual((await measure(archiveOf(files))).volumes)
  })

  test('says what volumes take, in a file of that name and form only', async () => {
    const load = { inodes: 3, pages: 2, largestInodes: 2, largestPages: 1 }
    const bytes = encodeVolumeLoad(load)
    const file = { name: VOLUMES_FILE, bytes }
    expect((await measure(archiveOf([...files, file]), 7)).volumes).toEqual(load)
    const none = { inodes: 0, pages: 0, largestInodes: 0, largestPages: 0 }
    for (const other of [
      { ...file, name: `rootfs/${VOLUMES_FILE}` },
      { ...file, mode: 0o120777 },
      { ...file, bytes: bytes.subarray(1) },
      { ...file, bytes: Buffer.concat([bytes, Buffer.alloc(5000, ' ')]) },
    ])
      expect((await measure(archiveOf([...files, other]))).volumes).toEqual(none)
  })

  test('of a kind that cannot be read counts four times', async () => {
    const xz = Buffer.concat([Buffer.from('\xfd7zXZ\0', 'latin1'), new Uint8Array(4090)])
    expect((await measure(xz)).unpacked).toMatchObject({ inodes: 0, pages: 4 })
  })

  test('of bytes that nobody can read never hangs or throws', async () => {
    const pieces = fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc.nat(raw.length).map((end) => raw.subarray(0, end)),
        fc.constant(gzipSync(raw)),
      ),
    )
    await fc.assert(
      fc.asyncProperty(pieces, async (parts) => {
        const ramdisk = Buffer.concat(parts)
        const { unpacked } = await measure(ramdisk, 64)
        expect(unpacked.pages).toBeGreaterThanOrEqual(0)
      }),
      { numRuns: 200 },
    )
  })

  test('that is a bomb is unpacked no further than the limit, in little memory', async () => {
    const bomb = gzipSync(
      Buffer.concat([archiveOf([{ name: 'x', bytes: new Uint8Array(2 ** 28) }])]),
    )
    const meter = new MemoryMeter(2 ** 24)
    const before = process.memoryUsage().rss
    const section: EifSection = { type: 'ramdisk', offset: 0, size: bomb.length }
    await meter.push(section, bomb)
    const { unpacked } = await meter.end()
    expect(unpacked.pages).toBe(2 ** 16)
    // What is left of the limit is all that the next ramdisk gets, and it counts as too large.
    const next: EifSection = { type: 'ramdisk', offset: bomb.length, size: bomb.length }
    await meter.push(next, bomb)
    expect((await meter.end()).unpacked.pages).toBeGreaterThanOrEqual(2 ** 16 + 2 ** 12)
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 2 ** 20)
  })
})
