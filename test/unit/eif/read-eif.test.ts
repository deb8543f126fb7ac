import { describe, expect, it } from 'vitest'

import { readEif } from '../../../src/eif/index.ts'
import { sourceOfBytes } from '../../../src/files/index.ts'
import {
  assemble,
  CRC_OFFSET,
  golden,
  goldenBytes,
  hex,
  mendCrc,
  patch,
  readCode,
  withField,
} from '../../fixtures/eif/golden.ts'

const [kernel, cmdline, metadata, ramdisk0, ramdisk1] = golden.sections
const tableEnd = 0x11c + 32 * 8

describe('readEif', () => {
  it.each([
    ['another magic', withField(0, 0x2f), 'ERR_EIF_MAGIC'],
    ['version 3', withField(4, 0, 3), 'ERR_EIF_VERSION'],
    ['version 5', withField(4, 0, 5), 'ERR_EIF_VERSION'],
    ['an unknown header flag', withField(6, 0, 2), 'ERR_EIF_HEADER'],
    ['default memory beyond 2^53', withField(8, 0xff), 'ERR_EIF_HEADER'],
    ['a reserved field that is set', withField(0x18, 0, 1), 'ERR_EIF_HEADER'],
    ['no section', withField(0x1a, 0, 0), 'ERR_EIF_HEADER'],
    ['33 sections', withField(0x1a, 0, 33), 'ERR_EIF_HEADER'],
    ['an entry after the last section', withField(0x1c + 8 * 5 + 7, 1), 'ERR_EIF_HEADER'],
    ['an unused field that is set', withField(0x21c, 1), 'ERR_EIF_HEADER'],
    ['a section offset of 2^63', withField(0x1c, 0x80), 'ERR_EIF_HEADER'],
    ['a section that overlaps another', withField(0x1c + 15, 0x41), 'ERR_EIF_SECTION_TABLE'],
    ['a table size unlike the section', withField(0x11c + 39, 11), 'ERR_EIF_SECTION_TABLE'],
    ['a section size unlike the table', withField(548 + 11, 17), 'ERR_EIF_SECTION_TABLE'],
    ['flags on a section', withField(548 + 3, 1), 'ERR_EIF_SECTION_TABLE'],
    ['a section of type 0', withField(549, 0), 'ERR_EIF_SECTION_TYPE'],
    ['a section of type 6', withField(549, 6), 'ERR_EIF_SECTION_TYPE'],
    ['two kernels', assemble([0, 1, 2, 3, 0]), 'ERR_EIF_SECTION_REPEATED'],
    ['two command lines', assemble([0, 1, 1, 2, 3]), 'ERR_EIF_SECTION_REPEATED'],
    ['two metadata sections', assemble([0, 1, 2, 2, 3]), 'ERR_EIF_SECTION_REPEATED'],
    ['no kernel', assemble([1, 2, 3, 4]), 'ERR_EIF_SECTION_MISSING'],
    ['no command line', assemble([0, 2, 3, 4]), 'ERR_EIF_SECTION_MISSING'],
    ['no metadata', assemble([0, 1, 3, 4]), 'ERR_EIF_SECTION_MISSING'],
    ['no ramdisk', assemble([0, 1, 2, 3], { 3: 4 }), 'ERR_EIF_SECTION_MISSING'],
    ['a ramdisk comes before the kernel', assemble([3, 0, 1, 2]), 'ERR_EIF_SECTION_ORDER'],
    ['a NUL in the command line', withField(cmdline?.dataOffset ?? 0, 0), 'ERR_EIF_CMDLINE'],
    ['a command line in Latin-1', withField(cmdline?.dataOffset ?? 0, 0xe4), 'ERR_EIF_CMDLINE'],
    ['an empty kernel', assemble([0, 1, 2, 3, 4], {}, 0), 'ERR_EIF_SECTION_SIZE'],
    ['empty metadata', assemble([0, 1, 2, 3, 4], {}, 2), 'ERR_EIF_SECTION_SIZE'],
    ['metadata that is not JSON', withField(metadata?.dataOffset ?? 0, 0x5b), 'ERR_EIF_METADATA'],
    [
      'metadata without a key',
      withField((metadata?.dataOffset ?? 0) + 2, 0x4a),
      'ERR_EIF_METADATA',
    ],
    ['a trailing byte', Uint8Array.of(...goldenBytes, 0), 'ERR_EIF_TRAILING_BYTES'],
    ['a wrong CRC', patch(goldenBytes, CRC_OFFSET, [0]), 'ERR_EIF_CRC'],
  ])('refuses %s', async (_, bytes, code) => {
    expect(await readCode(bytes)).toBe(code)
  })

  it('says of a short file of another kind that it is not an EIF', async () => {
    expect(await readCode(new TextEncoder().encode('{"Measurements":{}}'))).toBe('ERR_EIF_MAGIC')
  })

  it('refuses every truncation', async () => {
    for (let length = 0; length < goldenBytes.length; length++) {
      expect(await readCode(goldenBytes.slice(0, length)), `${String(length)} bytes`).toBe(
        'ERR_EIF_TRUNCATED',
      )
    }
  })

  it('refuses a flip of any bit, whatever it is in', async () => {
    for (let bit = 0; bit < goldenBytes.length * 8; bit++) {
      const flipped = patch(goldenBytes, bit >> 3, [
        (goldenBytes[bit >> 3] ?? 0) ^ (1 << (bit & 7)),
      ])
      expect(await readCode(flipped), `bit ${String(bit)}`).toMatch(/^ERR_EIF_/)
    }
  })

  it('with a mended CRC accepts a flipped header bit only in the architecture and the defaults', async () => {
    const accepted = new Set<number>()
    for (let bit = 0; bit < tableEnd * 8; bit++) {
      const offset = bit >> 3
      const flipped = withField(offset, (goldenBytes[offset] ?? 0) ^ (1 << (bit & 7)))
      if ((await readCode(flipped)) === 'accepted') accepted.add(offset)
    }
    const free = (offset: number) => offset === 7 || (offset >= 8 && offset < 0x18)
    expect([...accepted].filter((offset) => !free(offset))).toEqual([])
  })

  it.each([
    ['kernel', kernel, { pcr0: true, pcr1: true, pcr2: false }],
    ['command line', cmdline, { pcr0: true, pcr1: true, pcr2: false }],
    ['first ramdisk', ramdisk0, { pcr0: true, pcr1: true, pcr2: false }],
    ['second ramdisk', ramdisk1, { pcr0: true, pcr1: false, pcr2: true }],
  ])('shows a changed %s in the PCRs once the CRC is mended', async (_, section, changes) => {
    const offset = section?.dataOffset ?? 0
    const flipped = patch(goldenBytes, offset, [(goldenBytes[offset] ?? 0) ^ 1])
    expect(await readCode(flipped)).toBe('ERR_EIF_CRC')
    const { measurements } = await readEif(sourceOfBytes(mendCrc(flipped)))
    expect({
      pcr0: hex(measurements.pcr0.pcr) !== golden.measurements.PCR0,
      pcr1: hex(measurements.pcr1.pcr) !== golden.measurements.PCR1,
      pcr2: hex(measurements.pcr2.pcr) !== golden.measurements.PCR2,
    }).toEqual(changes)
  })

  it('measures in file order', async () => {
    const { measurements } = await readEif(sourceOfBytes(assemble([1, 0, 2, 3, 4])))
    expect(hex(measurements.pcr0.pcr)).not.toBe(golden.measurements.PCR0)
    expect(hex(measurements.pcr2.pcr)).toBe(golden.measurements.PCR2)
  })

  it('counts a command line after the second ramdisk into PCR1', async () => {
    const { measurements } = await readEif(sourceOfBytes(assemble([0, 2, 3, 4, 1])))
    const withoutApp = await readEif(sourceOfBytes(assemble([0, 2, 3, 1])))
    expect(measurements.pcr1).toEqual(withoutApp.measurements.pcr0)
  })

  it('refuses a file that gets shorter while it is read', async () => {
    const source = {
      size: goldenBytes.length,
      read: (offset: number, length: number) =>
        Promise.resolve(goldenBytes.slice(offset, Math.min(offset + length, 960))),
    }
    await expect(readEif(source)).rejects.toMatchObject({ code: 'ERR_EIF_TRUNCATED' })
  })
})
