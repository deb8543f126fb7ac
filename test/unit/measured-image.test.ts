// An image that does not fit its memory is refused before any of it is copied.

import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { readEif } from '../../src/eif/index.ts'
import { sourceOfBytes } from '../../src/files/index.ts'
import { measureImage } from '../../src/keeper/parts/measured-image.ts'
import { temporaryDirectory } from '../fixtures/temporary-directory.ts'
import { CRC_OFFSET, goldenBytes, patch } from './eif/golden.ts'
import { writeToBytes } from './eif/write-to-bytes.ts'

const RAMDISK_BYTES = 10 * 1024 * 1024

async function largeImage(): Promise<Uint8Array> {
  const { metadata } = await readEif(sourceOfBytes(goldenBytes))
  const { bytes } = await writeToBytes({
    architecture: 'x86_64',
    kernel: Uint8Array.of(1),
    cmdline: '',
    metadata,
    ramdisks: [new Uint8Array(RAMDISK_BYTES), new Uint8Array(RAMDISK_BYTES)],
  })
  return bytes
}

/** The contents do not fit the CRC, so whoever reads them all says so. */
function withWrongCrc(bytes: Uint8Array): Uint8Array {
  return patch(bytes, CRC_OFFSET, [0, 0, 0, 0])
}

test.each([
  ['is below the floor', 63, () => Promise.resolve(goldenBytes), 64],
  ['cannot hold both ramdisks', 71, largeImage, 72],
])('memory that %s is refused by the section table alone', async (_, memoryMib, image, needed) => {
  await using directory = await temporaryDirectory()
  const path = directory.join('app.eif')
  writeFileSync(path, withWrongCrc(await image()))
  const measure = (mib: number): Promise<unknown> => measureImage(path, directory.path, mib)
  await expect(measure(memoryMib)).rejects.toMatchObject({
    code: 'ERR_KEEPER_MEMORY',
    details: { neededMib: needed },
  })
  await expect(measure(needed)).rejects.toMatchObject({ code: 'ERR_EIF_CRC' })
})
