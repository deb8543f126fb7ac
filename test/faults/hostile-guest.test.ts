// A guest that attacks the ports of its parent harms nobody but itself.

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { guestProgram, guestReport, guestRootfs } from '../fixtures/guest-program.ts'
import { helloRootfs, TestHost, type DescribedEnclave } from '../host.ts'

const MIB = 1024 * 1024
const CMDLINE =
  'reboot=t panic=-1 console=ttyS0 virtio_mmio.device=512@0xfeb00e00:12 no_timer_check'
/** Escape, bell, C1 and other control characters, newline left out. */
const CONTROL = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/

let host: TestHost
let neighbour: DescribedEnclave

beforeAll(async () => {
  host = new TestHost()
  neighbour = await host.start(await host.build('neighbour'))
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** What a process has resident at most from now on, beyond what it has now. */
function watchMemory(pid: number): () => number {
  writeFileSync(`/proc/${String(pid)}/clear_refs`, '5') // proc(5): resets the peak
  const before = memoryOf(pid, 'VmRSS')
  return () => memoryOf(pid, 'VmHWM') - before
}

function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]) * 1024
}

function journalOf({ EnclaveID }: DescribedEnclave): string {
  return join(host.runtime, 'enclaves', EnclaveID, 'journal.log')
}

/** An image whose PID 1 is the probe, told to be hostile in some way. */
async function hostileAgent(name: string): Promise<string> {
  const init = await guestProgram('probe')
  const source = ['--rootfs', helloRootfs, '--entrypoint', '/hello', '--init', init]
  return host.build(name, ...source, '--cmdline', `${CMDLINE} -- hostile-agent ${name}`)
}

test('an app that floods every port leaves the keeper small, its NSM served, the neighbour alone and the record true', async () => {
  const rootfs = await guestRootfs(host.directory, 'probe')
  const eif = await host.build('attacker', '--rootfs', rootfs, '--entrypoint', '/probe', 'attack')
  const attacker = await host.start(eif)
  const grown = watchMemory(attacker.ProcessID)
  const report = await guestReport<{ readonly answered: number; readonly hitAndRun: number }>(
    attacker.VsockSocket,
    120_000,
  )
  expect(report).toMatchObject({ closed: true, failed: 0 })
  expect(report.answered).toBeGreaterThan(0)
  expect(report.hitAndRun).toBeGreaterThan(100)
  expect(grown()).toBeLessThan(128 * MIB)
  const descriptors = readdirSync(`/proc/${String(attacker.ProcessID)}/fd`)
  expect(descriptors.length).toBeLessThan(3 * 64 + 64)
  expect(statSync(journalOf(attacker)).size).toBeLessThanOrEqual(64 * 1024)
  expect(readFileSync(journalOf(attacker), 'utf8')).not.toMatch(/status 99\b/)
  expect(await host.describe(attacker.EnclaveID)).toMatchObject({ State: 'RUNNING' })
  const document = await requestDocument(neighbour.VsockSocket, Uint8Array.of(1))
  expect(document.length).toBeGreaterThan(0)
  await host.json('terminate-enclave', '--enclave-id', attacker.EnclaveID, '--timeout', '30')
  const { End } = await host.describe(attacker.EnclaveID)
  expect(End).toMatchObject({ First: 'app', Signal: '15' })
})

test('a PID 1 that leaves requests and hangs up without end costs the keeper little, and ends when told to', async () => {
  const attacker = await host.start(await hostileAgent('flood'))
  const grown = watchMemory(attacker.ProcessID)
  await sleep(8000)
  expect(grown()).toBeLessThan(64 * MIB)
  await host.json('stop', '--enclave-id', attacker.EnclaveID)
  // A keeper that is still busy is killed in the end; then the record gives another reason.
  expect(await host.describe(attacker.EnclaveID)).toMatchObject({
    End: { First: 'request', Reason: 'terminated on request' },
  })
})

test('what a hostile agent says reaches the terminal without its control characters', async () => {
  const eif = await hostileAgent('escape')
  const args = ['run-enclave', '--eif-path', eif, '--memory', '128']
  for (const mode of [[], ['--debug-mode']]) {
    const result = await host.run(...args, ...mode)
    expect(result).toMatchObject({ status: 39, stdout: '' })
    expect(result.stderr).toContain('owned')
    expect(result.stderr).not.toMatch(CONTROL)
  }
})

test('an agent that talks without end is heard once', async () => {
  const eif = await hostileAgent('chatter')
  const result = await host.run('run-enclave', '--eif-path', eif, '--memory', '128')
  expect(result.status).toBe(39)
  expect(await host.describe(neighbour.EnclaveID)).toMatchObject({ State: 'RUNNING' })
})

test('an agent that talks garbage is hung up on, and its start fails', async () => {
  const eif = await hostileAgent('garbage')
  const result = await host.run('run-enclave', '--eif-path', eif, '--memory', '128')
  expect(result.status).toBe(39)
  expect(result.stderr).toContain('ERR_BOOT_DIED')
})
