import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { lintEif, readEif, type EifMetadata } from '../../src/eif/index.ts'
import { sourceOfBytes } from '../../src/files/index.ts'
import { goldenBytes, mendCrc, readCode } from '../fixtures/eif/golden.ts'
import { writeToBytes } from '../fixtures/eif/write-to-bytes.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 20 })
const json = fc
  .jsonValue({ maxDepth: 2 })
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown)

const metadata: fc.Arbitrary<EifMetadata> = fc.record({
  imageName: text,
  imageVersion: text,
  build: fc.record({
    buildTime: text,
    buildTool: text,
    buildToolVersion: text,
    operatingSystem: text,
    kernelVersion: text,
  }),
  dockerInfo: json,
  custom: json,
})

const content = fc.uint8Array({ minLength: 1, maxLength: 300 })

const parts = fc.record({
  architecture: fc.constantFrom('x86_64' as const, 'aarch64' as const),
  kernel: content,
  cmdline: fc.string({ unit: 'grapheme-ascii', maxLength: 100 }),
  metadata,
  ramdisks: fc.array(content, { minLength: 1, maxLength: 6 }),
})

describe('an EIF', () => {
  it('is read back as what was written, each ramdisk padded to a multiple of 4', async () => {
    await fc.assert(
      fc.asyncProperty(parts, async (input) => {
        const { bytes, measurements } = await writeToBytes(input)
        const eif = await readEif(sourceOfBytes(bytes))
        expect(eif).toMatchObject({
          architecture: input.architecture,
          cmdline: input.cmdline,
        })
        expect(JSON.parse(JSON.stringify(eif.metadata))).toEqual(input.metadata)
        expect(eif.measurements).toEqual(measurements)
        const data = eif.sections.map(({ offset, size }) => bytes.slice(offset, offset + size))
        expect(data[0]).toEqual(input.kernel)
        for (const [index, ramdisk] of input.ramdisks.entries()) {
          const padded = new Uint8Array(Math.ceil(ramdisk.length / 4) * 4)
          padded.set(ramdisk)
          expect(data[3 + index]).toEqual(padded)
        }
      }),
    )
  })

  it('made of random bytes fails with a coded error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
        expect(await readCode(bytes)).toMatch(/^ERR_EIF_/)
      }),
    )
  })

  it('has an error of the linter exactly when it is not read', async () => {
    const patches = fc.array(fc.tuple(fc.nat(goldenBytes.length - 1), fc.nat(255)), {
      maxLength: 3,
    })
    const cut = fc.integer({ min: 0, max: 40 })
    await fc.assert(
      fc.asyncProperty(patches, cut, async (changes, length) => {
        const bytes = goldenBytes.slice(0, goldenBytes.length - Math.max(0, length - 30))
        for (const [offset, value] of changes) bytes[Math.min(offset, bytes.length - 1)] = value
        const image = mendCrc(bytes)
        const findings = await lintEif(sourceOfBytes(image), new Date(0))
        const errors = findings.filter(
          ({ level, platforms }) => level === 'error' && platforms.includes('cloister'),
        )
        expect(errors.length === 0).toBe((await readCode(image)) === 'accepted')
      }),
      { numRuns: 2000 },
    )
  })

  it('with random header and section bytes, CRC mended, is read or fails with a coded error', async () => {
    const patches = fc.array(fc.tuple(fc.nat(goldenBytes.length - 1), fc.nat(255)), {
      maxLength: 4,
    })
    await fc.assert(
      fc.asyncProperty(patches, async (changes) => {
        const bytes = goldenBytes.slice()
        for (const [offset, value] of changes) bytes[offset] = value
        expect(await readCode(mendCrc(bytes))).toMatch(/^(accepted|ERR_EIF_)/)
      }),
    )
  })
})
