// Options of the library as JavaScript gives them: a mistake is told before anything is built or started.

import { existsSync } from 'node:fs'
import { buildEnclave, listEnclaves, runEnclave, watchEnclaves } from 'cloister'
import { afterAll, expect, test, vi } from 'vitest'
import { helloRootfs, TestHost } from '../host.ts'

const host = new TestHost()
vi.stubEnv('CLOISTER_STATE_DIR', host.state)
vi.stubEnv('CLOISTER_RUNTIME_DIR', host.runtime)

afterAll(() => {
  vi.unstubAllEnvs()
  host.discard()
})

type Options = Record<string, unknown>
const build = buildEnclave as unknown as (options?: unknown) => Promise<unknown>
const run = runEnclave as unknown as (options?: unknown) => Promise<unknown>
const image = { rootfs: helloRootfs, output: host.path('hello.eif') }

test.each<[string, Options]>([
  ['entrypoint is not an array of strings', { ...image, entrypoint: '/hello' }],
  ['env is not an array of strings', { ...image, env: [1] }],
  ['there is no option rootFs', { output: image.output, rootFs: helloRootfs }],
  ['output is missing', { rootfs: helloRootfs }],
  ['manifest is not a string or false', { ...image, manifest: true }],
  ['privateKey is missing', { ...image, sign: { certificate: 'a.pem' } }],
  ['root is not one of squashfs, cpio', { ...image, root: 'SquashFS' }],
  ['architecture is not one of x86_64, aarch64', { ...image, architecture: 'arm64' }],
  ['kernelFlavour is not one of standard, minimal', { ...image, kernelFlavour: 'tiny' }],
])('buildEnclave says that %s', async (reason, options) => {
  await expect(build(options)).rejects.toThrow(TypeError)
  await expect(build(options)).rejects.toThrow(reason)
  expect(existsSync(image.output)).toBe(false)
})

test.each<[string, Options]>([
  ['eif is missing', {}],
  ['there is no option memory;', { eif: 'a.eif', memory: 128 }],
  ['memoryMib is not a whole number', { eif: 'a.eif', memoryMib: '128' }],
  ['guestPorts is not a string', { eif: 'a.eif', guestPorts: 5005 }],
  ['cpuIds is not an array of whole numbers', { eif: 'a.eif', cpuIds: ['0'] }],
  ['signal is not an AbortSignal', { eif: 'a.eif', signal: {} }],
  ['cpuCount is not a positive whole number', { eif: 'a.eif', cpuCount: 0 }],
  ['restart is not one of no, on-failure, always', { eif: 'a.eif', restart: 'sometimes' }],
  ['cgroup is not one of auto, required, off', { eif: 'a.eif', cgroup: 'Required' }],
  ['accelerator is not one of kvm, tcg', { eif: 'a.eif', accelerator: 'KVM' }],
  ['vsock is not one of card, host, kernel', { eif: 'a.eif', vsock: ['host'] }],
])('runEnclave says that %s', async (reason, options) => {
  await expect(run(options)).rejects.toThrow(TypeError)
  await expect(run(options)).rejects.toThrow(reason)
  expect(existsSync(host.runtime)).toBe(false)
})

test('so do those that take no path', () => {
  expect(() => listEnclaves({ All: true } as object)).toThrow('no option All')
  expect(() => watchEnclaves({ since: 5 } as object)).toThrow('since is not a Date')
  expect(() => listEnclaves('all' as unknown as object)).toThrow(TypeError)
})
