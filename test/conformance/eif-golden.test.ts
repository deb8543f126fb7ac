// The golden image of test/vectors/eif: read to every field, measured, and written again to the
// same bytes.

import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'

import { measureBytes, measureIdentity, readEif } from '../../src/eif/index.ts'
import { sourceOfBytes } from '../../src/files/index.ts'
import { golden, goldenBytes, hex } from '../fixtures/eif/golden.ts'
import { writeToBytes } from '../fixtures/eif/write-to-bytes.ts'

const encoder = new TextEncoder()

describe('the golden image', () => {
  it('is the file that golden.json describes', () => {
    expect(goldenBytes.length).toBe(golden.length)
    expect(createHash('sha256').update(goldenBytes).digest('hex')).toBe(golden.sha256)
  })

  it('is read to every field', async () => {
    const eif = await readEif(sourceOfBytes(goldenBytes))
    expect(eif).toMatchObject({
      version: 4,
      architecture: 'x86_64',
      defaultMemoryBytes: 1024 ** 3,
      defaultCpus: 2,
      crc32: 0x826244d6,
      metadata: {
        imageName: 'hello',
        imageVersion: '1.0',
        build: { buildTool: 'cloister', kernelVersion: '6.6.79' },
        dockerInfo: null,
        custom: null,
      },
    })
    expect(eif.sections).toEqual(
      golden.sections.map(({ name, dataOffset, size }) => ({
        type: name,
        offset: dataOffset,
        size,
      })),
    )
    expect(eif.cmdline).toBe(golden.sections[1]?.data)
  })

  it('measures to the published PCRs', async () => {
    const { measurements } = await readEif(sourceOfBytes(goldenBytes))
    expect(hex(measurements.pcr0.pcr)).toBe(golden.measurements.PCR0)
    expect(hex(measurements.pcr1.pcr)).toBe(golden.measurements.PCR1)
    expect(hex(measurements.pcr2.pcr)).toBe(golden.measurements.PCR2)
    expect(measurements.pcr8).toBeUndefined()
  })

  it('hands out the data of each section as it is in the file', async () => {
    const received: { type: string; data: string }[] = []
    await readEif(sourceOfBytes(goldenBytes), ({ type }, chunk) => {
      received.push({ type, data: new TextDecoder().decode(chunk) })
    })
    expect(received).toEqual(golden.sections.map(({ name, data }) => ({ type: name, data })))
  })

  it('is written again byte for byte, and measured alike', async () => {
    const eif = await readEif(sourceOfBytes(goldenBytes))
    const [kernel = '', , , ...ramdisks] = golden.sections.map(({ data }) => data)
    const written = await writeToBytes({
      architecture: eif.architecture,
      kernel: encoder.encode(kernel),
      cmdline: eif.cmdline,
      metadata: eif.metadata,
      ramdisks: ramdisks.map((ramdisk) => encoder.encode(ramdisk)),
    })
    expect(hex(written.bytes)).toBe(hex(goldenBytes))
    expect(written.measurements).toEqual(eif.measurements)
  })
})

describe('measurements', () => {
  it('make PCR2 of an image with one ramdisk that of no content, not zero', async () => {
    const { measurements } = await writeToBytes({
      architecture: 'x86_64',
      kernel: encoder.encode('kernel'),
      cmdline: '',
      metadata: (await readEif(sourceOfBytes(goldenBytes))).metadata,
      ramdisks: [encoder.encode('only')],
    })
    expect(hex(measurements.pcr2.pcr)).toBe(golden.pcr2WithOneRamdisk)
    expect(measurements.pcr0).toEqual(measurements.pcr1)
    expect(measurements.pcr2).toEqual(measureBytes(new Uint8Array()))
  })

  it('give PCR3 and PCR4 of real role and instance names', () => {
    const role = measureIdentity('arn:aws:iam::123456789012:role/Webserver')
    expect(hex(role)).toBe(
      '78fce75db17cd4e0a3fb8dad3ad128ca5e77edbb2b2c7f75329dccd99aa5f6ef4fc1f1a452e315b9e98f9e312e6921e6',
    )
    const { instanceId, value } = golden.extra.pcr4
    expect(hex(measureIdentity(instanceId))).toBe(value)
  })
})
