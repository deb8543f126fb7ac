// Which root file system an image gets, by what it is made of.

import { expect, test } from 'vitest'
import { contentOfBytes } from '../../../src/eif/index.ts'
import type { PlatformBlobs } from '../../../src/image/index.ts'
import { chooseRoot } from '../../../src/image/root/root-kind.ts'

const nothing = contentOfBytes(new Uint8Array())
const ours: PlatformBlobs = {
  architecture: 'x86_64',
  kernel: nothing,
  init: nothing,
  cmdline: 'panic=-1',
  isOwnInit: true,
  isOwnCmdline: true,
  operatingSystem: 'Linux',
  kernelVersion: '6.12.107',
  kernelFlavour: 'standard',
  mountsSquashfs: true,
}

test('our own command line keeps the ramdisks for a file system image, and only then', () => {
  expect(chooseRoot('squashfs', ours)).toEqual({
    kind: 'squashfs',
    cmdline: 'panic=-1 retain_initrd',
  })
  expect(chooseRoot('cpio', ours)).toEqual({ kind: 'cpio', cmdline: 'panic=-1' })
})

test('a file system image is the default where kernel and agent are ours, and can mount it', () => {
  expect(chooseRoot(undefined, ours).kind).toBe('squashfs')
  const { kernelFlavour: _, ...foreign } = ours
  const others: PlatformBlobs[] = [
    foreign,
    { ...ours, mountsSquashfs: false },
    { ...ours, isOwnInit: false },
    { ...ours, isOwnCmdline: false },
  ]
  for (const blobs of others) expect(chooseRoot(undefined, blobs).kind).toBe('cpio')
})

test("the user's command line stays as it is", () => {
  const cmdline = 'retain_initrd panic=0'
  const theirs = { ...ours, cmdline, isOwnCmdline: false }
  expect(chooseRoot('squashfs', theirs)).toEqual({ kind: 'squashfs', cmdline })
  expect(chooseRoot('cpio', theirs)).toEqual({ kind: 'cpio', cmdline })
})

test.each([
  ['a kernel without SquashFS', { mountsSquashfs: false }],
  ['a command line without retain_initrd', { isOwnCmdline: false }],
])('a file system image is refused with %s', (_, change) => {
  expect(() => chooseRoot('squashfs', { ...ours, ...change })).toThrow(
    expect.objectContaining({ code: 'ERR_IMAGE_ROOT' }),
  )
  expect(chooseRoot('cpio', { ...ours, ...change }).kind).toBe('cpio')
})
