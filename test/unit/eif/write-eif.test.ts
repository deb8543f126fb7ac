// What must not become an image: the writer refuses it before the reader would have to.

import { describe, expect, it } from 'vitest'

import { contentOfBytes, writeEif, type EifInput } from '../../../src/eif/index.ts'

const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(7)
const metadata: EifInput['metadata'] = {
  imageName: 'x',
  imageVersion: '1',
  build: {
    buildTime: '1970-01-01T00:00:00+00:00',
    buildTool: 'x',
    buildToolVersion: '1',
    operatingSystem: 'linux',
    kernelVersion: '6',
  },
  dockerInfo: {},
  custom: null,
}
const input: EifInput = {
  architecture: 'x86_64',
  kernel: contentOfBytes(bytes(100)),
  cmdline: 'reboot=t',
  metadata,
  ramdisks: [contentOfBytes(bytes(8)), contentOfBytes(bytes(7))],
}

async function codeOf(changed: Partial<EifInput>): Promise<string> {
  const sink = { write: () => Promise.resolve() }
  return writeEif({ ...input, ...changed }, sink).then(
    () => 'written',
    (error: unknown) => (error as { code: string }).code,
  )
}

/** States one size and has another. */
const lying = (size: number, actual: number) => ({
  ...contentOfBytes(bytes(actual)),
  size,
})

describe('writeEif', () => {
  it('writes what the cases below change', async () => {
    expect(await codeOf({})).toBe('written')
    expect(await codeOf({ cmdline: '' })).toBe('written')
  })

  it.each<readonly [string, Partial<EifInput>]>([
    ['no ramdisk', { ramdisks: [] }],
    [
      'so many ramdisks that no place is left for a signature',
      { ramdisks: Array(29).fill(input.kernel) as EifInput['ramdisks'] },
    ],
    ['an empty kernel', { kernel: contentOfBytes(bytes(0)) }],
    ['an empty ramdisk', { ramdisks: [contentOfBytes(bytes(0))] }],
    ['a kernel that got shorter', { kernel: lying(100, 99) }],
    ['a kernel that got longer', { kernel: lying(100, 101) }],
    ['a padded ramdisk that got longer', { ramdisks: [lying(7, 8)] }],
  ])('refuses %s', async (_, changed) => {
    expect(await codeOf(changed)).toBe('ERR_EIF_CONTENT')
  })

  it('refuses more metadata than a reader takes', async () => {
    const withText = (length: number) => ({ ...metadata, custom: { text: 'x'.repeat(length) } })
    expect(await codeOf({ metadata: withText(1000) })).toBe('written')
    expect(await codeOf({ metadata: withText(2 ** 24) })).toBe('ERR_EIF_METADATA')
  })
})
