import { expect, test } from 'vitest'
import { parseKernelConfig } from '../../../src/image/ramdisk/kernel-flavour.ts'

const config = (version: string): string => `#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.12.107 Kernel Configuration
#
CONFIG_LOCALVERSION="${version}"
`

test('the flavour is read from the local version, and is absent for a kernel of another maker', () => {
  const common = { operatingSystem: 'Linux', kernelVersion: '6.12.107' }
  expect(parseKernelConfig(config('-enclave-standard'))).toEqual({
    ...common,
    kernelFlavour: 'standard',
  })
  expect(parseKernelConfig(config('-enclave'))).toEqual({ ...common, kernelFlavour: 'minimal' })
  expect(parseKernelConfig(config('-cloud-amd64'))).toEqual(common)
  expect(parseKernelConfig('')).toEqual({ operatingSystem: 'Unknown', kernelVersion: 'Unknown' })
})
