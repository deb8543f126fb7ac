// Ramdisks whose members change what others made: what diff-eif, lint-eif and the reader of manifests say.

import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'

import { diffEifs, lintEif, readEif } from '../../../src/eif/index.ts'
import { sourceOfBytes } from '../../../src/files/index.ts'
import { ManifestReader, measuredPart } from '../../../src/manifest/index.ts'
import { validateManifest } from '../../../src/manifest/validate.ts'
import { archiveOf, type CpioFile } from '../../fixtures/eif/cpio.ts'
import { goldenBytes } from '../../fixtures/eif/golden.ts'
import { writeToBytes } from '../../fixtures/eif/write-to-bytes.ts'

const kernel = new Uint8Array(1024)
kernel.set(Buffer.from('HdrS'), 0x202)
const init = archiveOf([{ name: 'init', bytes: Buffer.from('#!') }])

async function image(...ramdisks: readonly Uint8Array[]): Promise<Uint8Array> {
  const { metadata } = await readEif(sourceOfBytes(goldenBytes))
  const parts = { architecture: 'x86_64', kernel, cmdline: 'reboot=t', metadata, ramdisks } as const
  return (await writeToBytes(parts)).bytes
}

function file(name: string, text: string, more: Partial<CpioFile> = {}): CpioFile {
  return { name, bytes: Buffer.from(text), ...more }
}

const linked = { inode: 7, links: 2 }
const end = file('TRAILER!!!', '')

/** Each with a member that the first one is not what it seems by. */
const overwritten: readonly (readonly [string, string, readonly CpioFile[]])[] = [
  ['a name twice', 'ramdisk-repeated-name', [file('a', 'old'), file('a', 'new')]],
  ['a mounted image twice', 'ramdisk-repeated-name', [untyped('one'), untyped('two')]],
  ['another way to write a name', 'ramdisk-repeated-name', [file('a', 'old'), file('.//a', 'new')]],
  ['a name that goes on after a NUL', 'ramdisk-repeated-name', [file('a', ''), file('a\0b', '')]],
  [
    'contents with two links',
    'ramdisk-rewritten-link',
    [file('a', 'old', linked), file('b', 'new', linked)],
  ],
  [
    'another mode with a second link',
    'ramdisk-rewritten-link',
    [file('a', 'old', linked), file('b', '', { ...linked, mode: 0o104755 })],
  ],
]

function untyped(text: string): CpioFile {
  return file('rootfs.squashfs', text, { mode: 0 })
}

async function filesOf(a: readonly CpioFile[], b: readonly CpioFile[]): Promise<unknown> {
  const [left, right] = [await image(init, archiveOf(a)), await image(init, archiveOf(b))]
  const { sections } = await diffEifs(sourceOfBytes(left), sourceOfBytes(right))
  return sections[0]?.files?.map(({ name }) => name)
}

async function rulesOf(bytes: Uint8Array, limitBytes?: number): Promise<readonly string[]> {
  const findings = await lintEif(sourceOfBytes(bytes), new Date(), limitBytes)
  return findings.map(({ rule }) => rule)
}

describe('a ramdisk is compared as a whole, and warned of, with', () => {
  test.each(overwritten)('%s', async (_, rule, members) => {
    expect(await filesOf(members, [file('a', 'x'), file('b', 'y')])).toBeUndefined()
    expect(await rulesOf(await image(init, archiveOf(members)))).toEqual([rule])
  })
})

describe('a ramdisk is compared by its files with', () => {
  test.each([
    ['links of which one has the contents', [file('a', '', linked), file('b', 'x', linked)]],
    [
      'one inode number in two file systems',
      [file('a', 'x', linked), file('b', 'y', { ...linked, minor: 1 })],
    ],
    [
      'one inode number in two archives',
      [file('a', 'x', linked), end, file('b', 'y', { ...linked, mode: 0o100600 })],
    ],
  ])('%s', async (_, members) => {
    expect(await rulesOf(await image(init, archiveOf(members)))).toEqual([])
    expect(await filesOf(members, [...members, file('c', '')])).toEqual(['c'])
  })

  test.each([
    ['archive', [end, file('b', '', linked)]],
    ['file system', [file('b', '', { ...linked, minor: 1 })]],
  ])('an empty link of another %s, which has not the contents of the first', async (_, more) => {
    const [one, other] = ['x', 'y'].map((text) => [file('a', text, linked), ...more])
    expect(await filesOf(one ?? [], other ?? [])).toEqual(['a'])
  })
})

test('all ramdisks of an image together are unpacked to one limit', async () => {
  const packed = gzipSync(archiveOf([file('a', 'x'.repeat(4096))]))
  expect(await rulesOf(await image(packed, packed), 10_000)).toEqual([])
  expect(await rulesOf(await image(packed, packed), 6000)).toEqual(['ramdisk-format'])
})

describe('the manifest of an image', () => {
  const text = 'cloister: 1\nname: web\nversion: "1"\n'
  const manifest = measuredPart(validateManifest(Buffer.from(text), 'cloister.yaml'))
  const name = 'cloister.yaml'
  const json = JSON.stringify({ version: 1, manifest })
  const yaml = file(name, json)
  const empty = new Uint8Array()

  function manifestOf(...ramdisks: readonly Uint8Array[]): unknown {
    const reader = new ManifestReader()
    const sections = ramdisks.map(({ length: size }, offset) => ({
      ...({ type: 'ramdisk', offset, size } as const),
    }))
    for (const [index, section] of sections.entries())
      // As readEif: nothing of a section that is empty.
      if (section.size > 0) reader.push(section, ramdisks[index] ?? empty)
    return reader.read({ sections })
  }

  test('is that of the second ramdisk, whether others are empty or not', () => {
    const app = archiveOf([yaml, file('rootfs/cloister.yaml', 'x')])
    expect(manifestOf(init, app)).toEqual(manifest)
    expect(manifestOf(empty, app, empty)).toEqual(manifest)
    expect(manifestOf(init, empty)).toBeUndefined()
    expect(manifestOf(init)).toBeUndefined()
  })

  test.each<readonly [string, readonly Uint8Array[]]>([
    ['a second one', [init, archiveOf([yaml, file('cmd', ''), file('./cloister.yaml', '{}')])]],
    ['a second one in another archive', [init, archiveOf([yaml, end, yaml])]],
    ['a second one in another ramdisk', [init, archiveOf([yaml]), archiveOf([yaml])]],
    ['one behind an empty ramdisk', [init, empty, archiveOf([yaml])]],
    ['one in the first ramdisk', [archiveOf([yaml]), archiveOf([file('cmd', '')])]],
    ['one that is not the first file', [init, archiveOf([file('cmd', ''), yaml])]],
    ['a symbolic link', [init, archiveOf([file(name, 'cmd', { mode: 0o120777 })])]],
    ['a directory', [init, archiveOf([file(name, '', { mode: 0o040755 })])]],
    ['several names', [init, archiveOf([file(name, json, linked), file('x', '{}', linked)])]],
    ['packed files behind it', [init, Buffer.concat([archiveOf([yaml]), gzipSync('x')])]],
  ])('is refused with %s', (_, ramdisks) => {
    expect(() => manifestOf(...ramdisks)).toThrow(
      expect.objectContaining({ code: 'ERR_EIF_MANIFEST' }),
    )
  })
})
