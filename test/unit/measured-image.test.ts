// An image that would not be unpacked whole is refused, with the memory that would do.

import { writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { readEif } from '../../src/eif/index.ts'
import { sourceOfBytes } from '../../src/files/index.ts'
import { measureImage, type MeasuredImage } from '../../src/keeper/parts/measured-image.ts'
import { temporaryDirectory } from '../fixtures/temporary-directory.ts'
import { archiveOf } from '../fixtures/eif/cpio.ts'
import { goldenBytes } from '../fixtures/eif/golden.ts'
import { writeToBytes } from '../fixtures/eif/write-to-bytes.ts'

const archive = archiveOf([{ name: 'rootfs/big', bytes: new Uint8Array(20 * 1024 * 1024) }])

async function imageOf(cmdline: string, ramdisk: Uint8Array): Promise<Uint8Array> {
  const { metadata } = await readEif(sourceOfBytes(goldenBytes))
  const kernel = Uint8Array.of(1)
  const image = { architecture: 'x86_64', kernel, cmdline, metadata } as const
  return (await writeToBytes({ ...image, ramdisks: [ramdisk] })).bytes
}

test.each([
  ['an image at the floor', 'reboot=t', archiveOf([]), 64],
  ['a raw ramdisk on a ramfs, as with AWS', 'reboot=k root=/dev/ram0', archive, 95],
  ['a packed one', 'reboot=k root=/dev/ram0', gzipSync(archive), 73],
  ['a raw ramdisk on a tmpfs of half the memory', 'reboot=t', archive, 97],
])(
  'the memory that is named suffices, and one MiB less does not: %s',
  async (_, cmdline, ramdisk, needed) => {
    await using directory = await temporaryDirectory()
    const path = directory.join('app.eif')
    writeFileSync(path, await imageOf(cmdline, ramdisk))
    const measure = (memoryMib: number): Promise<MeasuredImage> =>
      measureImage(path, directory.path, { memoryMib, cpuCount: 1 })
    const refusal = { code: 'ERR_KEEPER_MEMORY', details: { neededMib: needed } }
    await expect(measure(1)).rejects.toMatchObject(refusal)
    await expect(measure(needed - 1)).rejects.toMatchObject(refusal)
    using image = await measure(needed)
    expect(image.eif.cmdline).toBe(cmdline)
  },
)

test('limits of the command line that no memory can lift are refused', async () => {
  await using directory = await temporaryDirectory()
  const path = directory.join('app.eif')
  writeFileSync(path, await imageOf('initramfs_options=size=10m', archive))
  const measure = measureImage(path, directory.path, { memoryMib: 4096, cpuCount: 1 })
  await expect(measure).rejects.toMatchObject({ code: 'ERR_KEEPER_MEMORY' })
})

test('a launch that is given up does not read the image to its end', async () => {
  await using directory = await temporaryDirectory()
  const path = directory.join('app.eif')
  writeFileSync(path, await imageOf('reboot=t', archive))
  const size = { memoryMib: 4096, cpuCount: 1, signal: AbortSignal.abort() }
  await expect(measureImage(path, directory.path, size)).rejects.toMatchObject({
    name: 'AbortError',
  })
})
