// AWS's crate beside ours: each reads what the other writes, with the same measurements, and unsigned
// files are the same to the byte.

import fc from 'fast-check'
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { parseCustomMetadata, readEif, type EifMetadata } from '../../src/eif/index.ts'
import { sourceOfBytes } from '../../src/files/index.ts'
import { openSigner, signFile } from '../../src/signing/index.ts'
import { awsBuild, awsDescribe, awsSign, type AwsReport } from '../fixtures/aws-eif.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'
import { golden, goldenBytes, hex, mendCrc, patch, readCode } from '../fixtures/eif/golden.ts'
import { makeKeyAndCertificate } from '../fixtures/eif/key-and-certificate.ts'
import { writeToBytes } from '../fixtures/eif/write-to-bytes.ts'

const CURVES = ['prime256v1', 'secp384r1', 'secp521r1']
const vectors = new URL('../vectors/eif-aws/', import.meta.url)
let scratch: TemporaryDirectory

beforeAll(async () => {
  scratch = await temporaryDirectory()
  for (const curve of CURVES) {
    const { certificate, key } = makeKeyAndCertificate(curve)
    writeFileSync(scratch.join(`${curve}.crt`), certificate)
    writeFileSync(scratch.join(`${curve}.key`), key)
  }
})

afterAll(async () => {
  await scratch[Symbol.asyncDispose]()
})

interface Plan {
  readonly arch: 'x86_64' | 'aarch64'
  readonly kernel: Uint8Array
  readonly cmdline: string
  readonly ramdisks: readonly Uint8Array[]
  readonly name: string
  /** JSON text. */
  readonly custom?: string | undefined
  readonly curve?: string
}

const BUILD = {
  buildTime: '1970-01-01T00:00:00+00:00',
  buildTool: 'cloister',
  buildToolVersion: '0.1.0',
  operatingSystem: 'Linux',
  kernelVersion: '6.12.1',
} as const

/** What AWS's writer makes of a plan. */
function theirs(plan: Plan): { readonly bytes: Uint8Array; readonly report: AwsReport } {
  const write = (name: string, bytes: Uint8Array | string): string => {
    writeFileSync(scratch.join(name), bytes)
    return scratch.join(name)
  }
  const { arch, cmdline, name, custom, curve } = plan
  const json = {
    ...{ arch, cmdline, name, version: '1.0', dockerInfo: null, ...BUILD },
    kernel: write('kernel', plan.kernel),
    ramdisks: plan.ramdisks.map((ramdisk, n) => write(`ramdisk${String(n)}`, ramdisk)),
    ...(custom !== undefined && { custom: write('custom.json', custom) }),
    ...(curve !== undefined && {
      certificate: scratch.join(`${curve}.crt`),
      key: scratch.join(`${curve}.key`),
    }),
  }
  const output = scratch.join('theirs.eif')
  const report = awsBuild(write('plan.json', JSON.stringify(json)), output)
  return { bytes: new Uint8Array(readFileSync(output)), report }
}

async function ours(plan: Plan): Promise<Uint8Array> {
  const metadata: EifMetadata = {
    imageName: plan.name,
    imageVersion: '1.0',
    build: BUILD,
    dockerInfo: null,
    custom: plan.custom === undefined ? null : parseCustomMetadata(Buffer.from(plan.custom)),
  }
  const { kernel, cmdline, ramdisks } = plan
  const parts = { architecture: plan.arch, kernel, cmdline, ramdisks, metadata }
  return (await writeToBytes(parts)).bytes
}

async function pcrsOf(bytes: Uint8Array): Promise<Readonly<Record<string, string>>> {
  const { pcr0, pcr1, pcr2, pcr8 } = (await readEif(sourceOfBytes(bytes))).measurements
  const shown = { PCR0: pcr0, PCR1: pcr1, PCR2: pcr2, ...(pcr8 && { PCR8: pcr8 }) }
  return Object.fromEntries(Object.entries(shown).map(([name, { pcr }]) => [name, hex(pcr)]))
}

function pcrs({ Measurements }: AwsReport): Readonly<Record<string, string>> {
  return onlyPcrs(Measurements)
}

function onlyPcrs(measurements: object): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(measurements).filter(([name]) => name.startsWith('PCR')))
}

const simple: Plan = {
  arch: 'x86_64',
  kernel: Buffer.from('kernel'),
  cmdline: 'reboot=k panic=30',
  ramdisks: [Buffer.from('zero'), Buffer.from('one!')],
  name: 'app',
}

/** Numbers and texts that JSON libraries write differently. */
const NUMBERS = [
  ...[
    '0',
    '-0',
    '1',
    '-1',
    '1.0',
    '2.0',
    '1.50',
    '0.1',
    '-0.0',
    '0.00001',
    '0.000001',
    '1e-7',
    '12e-8',
  ],
  ...[
    '1e15',
    '1e16',
    '1e17',
    '123456789012345680',
    '1234567890123456.5',
    '1E+2',
    '1e300',
    '5e-324',
  ],
  ...['9007199254740993', '9223372036854775807', '18446744073709551615', '-9223372036854775808'],
]

describe("AWS's writer and ours", () => {
  it('write the golden image alike', () => {
    const path = scratch.join('golden.eif')
    writeFileSync(path, goldenBytes)
    expect(pcrs(awsDescribe(path))).toEqual(onlyPcrs(golden.measurements))
  })

  it('write the same bytes, whatever is in the parts and the metadata', async () => {
    const ramdisk = fc
      .uint8Array({ minLength: 1, maxLength: 40 })
      .map((bytes) => Buffer.concat([bytes, bytes, bytes, bytes]))
    const number = fc.oneof(
      fc.maxSafeInteger(),
      fc.integer().map((n) => n / 8),
    )
    const text = fc.string({ unit: 'grapheme', maxLength: 10 })
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom(null, true, false),
        number,
        text,
        fc.array(tie('json'), { maxLength: 4 }),
        fc.dictionary(text, tie('json'), { maxKeys: 4 }),
      ),
    }))
    const plan = fc.record({
      arch: fc.constantFrom('x86_64' as const, 'aarch64' as const),
      kernel: fc.uint8Array({ minLength: 1, maxLength: 300 }),
      cmdline: fc.string({ unit: 'grapheme-ascii', maxLength: 100 }),
      ramdisks: fc.array(ramdisk, { minLength: 1, maxLength: 6 }),
      name: fc.string({ unit: 'grapheme', maxLength: 20 }),
      custom: fc.option(
        json.map((value) => JSON.stringify(value)),
        { nil: undefined },
      ),
    })
    await fc.assert(
      fc.asyncProperty(plan, async (parts) => {
        expect(hex(await ours(parts))).toBe(hex(theirs(parts).bytes))
      }),
      { numRuns: 60 },
    )
  })

  it.each([
    ['numbers', `[${NUMBERS.join(',')}]`],
    ['keys out of order', '{"b":1,"a":2,"\\ud83d\\ude00":3,"\\uff5e":4,"10":5,"9":6,"":7}'],
    ['a key twice', '{"a":1,"b":2,"a":{"c":3}}'],
    ['texts', '"\\u0000\\u001f\\u007f\\b\\f\\n\\r\\t\\"\\\\\\/\\u2028é😀"'],
    ['a key that JavaScript treats specially', '{"__proto__":{"x":1},"constructor":2}'],
    ['white space', ' \n[ 1 ,\t{ "a" : [ ] , "b":{ } } ]\r\n'],
  ])('write the same bytes for custom metadata with %s', async (_, custom) => {
    const plan = { ...simple, custom }
    expect(Buffer.from(await ours(plan)).toString()).toBe(
      Buffer.from(theirs(plan).bytes).toString(),
    )
  })

  it.each([
    ['18446744073709551616', 'an integer above 64 bits'],
    ['3.14159265358979323846', 'more digits than a double has'],
    ['-1.2034043328836685e-105', 'a double that serde_json rounds wrongly'],
    ['1e-400', 'a number below what a double holds'],
  ])("differ in %s alone, which AWS's would change: %s", async (number) => {
    const plan = { ...simple, custom: `{"n":${number}}` }
    expect(Buffer.from(theirs(plan).bytes).toString()).not.toContain(`{"n":${number}}`)
    const bytes = await ours(plan)
    expect(Buffer.from(bytes).toString()).toContain(`"CustomMetadata":{"n":${number}}}`)
    writeFileSync(scratch.join('ours.eif'), bytes)
    expect(pcrs(awsDescribe(scratch.join('ours.eif')))).toEqual(await pcrsOf(bytes))
  })

  it.each(['1e400', '"\\ud800"', '{"\\udfff":1}'])(
    "refuse custom metadata that AWS's reader refuses: %s",
    async (custom) => {
      const plan = { ...simple, custom }
      expect(() => theirs(plan)).toThrow()
      await expect(ours(plan)).rejects.toMatchObject({ code: 'ERR_EIF_METADATA' })
    },
  )

  it('take custom metadata as deep as each other', async () => {
    const nested = (depth: number): Plan => ({
      ...simple,
      custom: '['.repeat(depth) + ']'.repeat(depth),
    })
    expect(hex(await ours(nested(126)))).toBe(hex(theirs(nested(126)).bytes))
    expect(() => theirs(nested(127))).toThrow()
    await expect(ours(nested(127))).rejects.toMatchObject({ code: 'ERR_EIF_METADATA' })
  })
})

describe.each(CURVES)('an image signed with %s', (curve) => {
  const signed = async (bytes: Uint8Array, by = curve): Promise<Uint8Array> => {
    const path = scratch.join('signed.eif')
    writeFileSync(path, bytes)
    const certificate = readFileSync(scratch.join(`${by}.crt`))
    await using signer = await openSigner(certificate, scratch.join(`${by}.key`))
    await signFile({ path }, signer)
    return new Uint8Array(readFileSync(path))
  }

  it("by us is verified by AWS's reader, and could be run", async () => {
    const bytes = await signed(await ours(simple))
    const report = awsDescribe(scratch.join('signed.eif'))
    const good = { CheckCRC: true, IsSigned: true, SignatureCheck: true, Runnable: true }
    expect(report).toMatchObject(good)
    expect(pcrs(report)).toEqual(await pcrsOf(bytes))
  })

  it('by AWS is read by us, and differs from ours in the random part of its signature alone', async () => {
    const { bytes, report } = theirs({ ...simple, curve })
    expect(await pcrsOf(bytes)).toEqual(pcrs(report))
    const other = await signed(await ours(simple))
    const start = (await ours(simple)).length + 12
    expect(hex(bytes.subarray(548, start - 12))).toBe(hex(other.subarray(548, start - 12)))
    const beforeSignature = start + readFileSync(scratch.join(`${curve}.crt`)).length
    expect(hex(bytes.subarray(start, beforeSignature))).toBe(
      hex(other.subarray(start, beforeSignature)),
    )
  })

  it.each(CURVES)(
    'and again by nitro-cli with %s is read by us, and signed once more by us',
    async (other) => {
      const first = await signed(await ours(simple))
      const path = scratch.join('signed.eif')
      const report = awsSign(path, scratch.join(`${other}.crt`), scratch.join(`${other}.key`))
      const again = new Uint8Array(readFileSync(path))
      expect(await pcrsOf(again)).toEqual(pcrs(report))
      expect(hex(await signed(again))).toBe(hex(first))
    },
  )
})

describe('images of AWS that occur', () => {
  const index = JSON.parse(readFileSync(new URL('index.json', vectors), 'utf8')) as Readonly<
    Record<string, { readonly expect: AwsReport }>
  >

  it.each(Object.entries(index))(
    '%s is read, with the measurements of AWS',
    async (name, entry) => {
      const bytes = new Uint8Array(readFileSync(new URL(name, vectors)))
      expect(await pcrsOf(bytes)).toEqual(pcrs(entry.expect))
    },
  )

  it('a command line above 4096 bytes and 5 MB of metadata are read', async () => {
    const cmdline = 'x'.repeat(60_000)
    const { bytes, report } = theirs({ ...simple, cmdline, name: 'n'.repeat(5_000_000) })
    expect(await pcrsOf(bytes)).toEqual(pcrs(report))
    const eif = await readEif(sourceOfBytes(bytes))
    expect([eif.cmdline.length, eif.metadata.imageName.length]).toEqual([60_000, 5_000_000])
  })

  it('a stale size is accepted of a signature alone', async () => {
    const bytes = new Uint8Array(readFileSync(new URL('resigned.eif', vectors)))
    for (let section = 0; section < 6; section++) {
      const at = 0x11c + 8 * section + 7
      const changed = mendCrc(patch(bytes, at, [(bytes[at] ?? 0) ^ 1]))
      expect(await readCode(changed)).toBe(section === 5 ? 'accepted' : 'ERR_EIF_SECTION_TABLE')
    }
  })
})
