import { expect, test } from 'vitest'
import { parseKernelConfig } from '../../../src/image/ramdisk/kernel-flavour.ts'

const config = (version: string): string => `#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.12.107 Kernel Configuration
#
CONFIG_LOCALVERSION="${version}"
`

test('the flavour is read from the local version, and is absent for a kernel of another maker', () => {
  const labels = { operatingSystem: 'Linux', kernelVersion: '6.12.107' }
  const common = { ...labels, mountsSquashfs: false, hasTun: false }
  expect(parseKernelConfig(config('-enclave-standard'))).toEqual({
    ...common,
    kernelFlavour: 'standard',
  })
  expect(parseKernelConfig(config('-enclave'))).toEqual({ ...common, kernelFlavour: 'minimal' })
  expect(parseKernelConfig(config('-cloud-amd64'))).toEqual(common)
  expect(parseKernelConfig('')).toEqual({ operatingSystem: 'Unknown', kernelVersion: 'Unknown' })
})

test('a kernel mounts a root file system image when it has all that this takes', () => {
  const options = ['SQUASHFS_ZSTD', 'SQUASHFS_XATTR', 'BLK_DEV_LOOP', 'OVERLAY_FS']
  const lines = options.map((name) => `CONFIG_${name}=y\n`)
  const mounts = (text: string): boolean | undefined => parseKernelConfig(text).mountsSquashfs
  expect(mounts(config('') + lines.join(''))).toBe(true)
  for (const line of lines) {
    const others = lines.filter((other) => other !== line)
    expect(mounts(`${config('')}${others.join('')}# ${line}`), line).toBe(false)
  }
})
