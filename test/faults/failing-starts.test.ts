// Starts that cannot succeed: each has its own code, says what to do, and leaves nothing.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildAwsImage } from '../fixtures/aws-image.ts'
import { recentQemu, TestHost, type CliResult } from '../host.ts'

let host: TestHost
let eif: string

beforeAll(async () => {
  host = new TestHost()
  eif = await host.build('hello')
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

async function refused(...args: readonly string[]): Promise<CliResult> {
  const result = await host.run('run-enclave', ...args)
  expect(result.stdout).toBe('')
  expect(result.stderr).toMatch(/What to do: \S/)
  expect(host.leftovers()).toEqual([])
  expect(await host.list('--all')).toEqual([])
  return result
}

test('too little memory is refused with the size that would do', async () => {
  const result = await refused('--eif-path', eif, '--memory', '32')
  expect(result).toMatchObject({ status: 39 })
  expect(result.stderr).toContain('[ E26 ] ERR_KEEPER_MEMORY')
})

test('an NSM card that does not come up ends the start with its words', async () => {
  const card = join(host.directory, 'card')
  writeFileSync(card, '#!/bin/sh\necho no card today >&2\nexit 1\n', { mode: 0o755 })
  await using recent = new TestHost({ CLOISTER_QEMU: recentQemu(), CLOISTER_NSM_CARD: card })
  const stock = await buildAwsImage(recent, 'probe')
  const result = await recent.run('run-enclave', '--eif-path', stock, '--memory', '128')
  expect(result.stderr).toContain('ERR_NSM_CARD')
  expect(result.stderr).toContain('no card today')
  expect(recent.leftovers()).toEqual([])
  expect(await recent.list('--all')).toEqual([])
})

test('a missing image is told by name', async () => {
  const result = await refused('--eif-path', join(host.directory, 'nobody.eif'))
  expect(result.stderr).toContain('nobody.eif')
  expect(result.status).toBe(39)
})

test('a file that is no image is refused', async () => {
  const file = join(host.directory, 'noise.eif')
  writeFileSync(file, 'x'.repeat(4096))
  expect((await refused('--eif-path', file)).status).toBe(39)
})

test('a guest that never sends its heartbeat is told apart from one that dies', async () => {
  const mute = await host.buildMute()
  const result = await refused('--eif-path', mute, '--memory', '128', '--boot-timeout', '3')
  expect(result.stderr).toContain('ERR_BOOT_TIMEOUT')
  expect(result.status).toBe(39)
})

test('a kernel that panics is an enclave that died', async () => {
  const rootfs = join(host.directory, 'empty')
  mkdirSync(rootfs)
  const notInit = join(host.directory, 'init')
  writeFileSync(notInit, '#!/nowhere\n', { mode: 0o755 })
  const file = await host.build(
    'broken',
    '--rootfs',
    rootfs,
    '--entrypoint',
    '/x',
    '--init',
    notInit,
  )
  const result = await refused('--eif-path', file, '--memory', '128', '--debug-mode')
  expect(result.stderr).toContain('ERR_BOOT_DIED')
  expect(result.stderr).toMatch(/Kernel panic/)
})

test('unknown flags and values out of range are refused before anything starts', async () => {
  expect(await host.run('run-enclave', '--eif-path', eif, '--cpu-count', '0')).toMatchObject({
    status: 2,
  })
  expect(await host.run('run-enclave', '--eif-path', eif, '--enclave-cid', '3')).toMatchObject({
    status: 2,
  })
  expect(await host.run('run-enclave', '--eif-path', eif, '--nonsense')).toMatchObject({
    status: 2,
  })
  expect(await host.run('run-enclave')).toMatchObject({ status: 2 })
  expect(host.leftovers()).toEqual([])
})
