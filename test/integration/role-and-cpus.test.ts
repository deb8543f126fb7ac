// What run-enclave promises of an identity, of CPUs and of memory, from its flags to the document and the kernel.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { verifyAttestation } from '@cloister/attestation'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

/** Of 2 MiB each; the kernel's figures for the whole host. */
const HUGE_PAGES = '/proc/sys/vm/nr_hugepages'
const MEMORY_MIB = 128
const ROLE = 'arn:aws:iam::123456789012:role/Webserver'

let host: TestHost
let enclave: DescribedEnclave & { readonly CPUIDs: readonly number[] }
/** The last of the CPUs that this process may run on. */
let cpu: string
let reserved: string
let freeBefore: number

beforeAll(async () => {
  host = new TestHost()
  cpu = allowedCpus('self').split(/[,-]/).at(-1) ?? '0'
  await host.build('hello')
  reserved = readFileSync(HUGE_PAGES, 'utf8')
  writeFileSync(HUGE_PAGES, String(Number(reserved) + MEMORY_MIB / 2))
  freeBefore = hugePages('Free')
  const launched = await host.json<{ readonly EnclaveID: string }>(
    ...['run-enclave', '--eif-path', host.path('hello.eif'), '--memory', String(MEMORY_MIB)],
    ...['--guest-ports', '5005', '--role', ROLE, '--cpu-ids', cpu, '--huge-pages'],
  )
  enclave = (await host.describe(launched.EnclaveID)) as typeof enclave
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
  writeFileSync(HUGE_PAGES, reserved)
})

/** meminfo's `HugePages_…` of this host. */
function hugePages(name: 'Free' | 'Rsvd'): number {
  const text = readFileSync('/proc/meminfo', 'utf8')
  return Number(new RegExp(`^HugePages_${name}:\\s+(\\d+)`, 'm').exec(text)?.[1])
}

/** CPUs that a task may run on (proc_pid_status(5)). */
function allowedCpus(task: string): string {
  const status = readFileSync(join('/proc', task, 'status'), 'utf8')
  return /^Cpus_allowed_list:\s*(.+)$/m.exec(status)?.[1] ?? ''
}

test('--role is PCR3 of the document, and `pcr --role` predicts it', async () => {
  const root = new X509Certificate(readFileSync(join(host.state, 'authority/root.pem'))).raw
  const { PCR3 } = await host.json<{ readonly PCR3: string }>('pcr', '--role', ROLE)
  const document = await requestDocument(enclave.VsockSocket, Buffer.from('nonce'))
  const options = { roots: [root], tpmEvidence: 'require' } as const
  const { pcrs, tpm } = await verifyAttestation(document, { ...options, measurements: { PCR3 } })
  expect(pcrs[3]).toBe(PCR3)
  expect(tpm?.certifiedPcrs).toContain(3)
  const other = await host.json<{ readonly PCR3: string }>('pcr', '--role', `${ROLE}2`)
  await expect(
    verifyAttestation(document, { ...options, measurements: { PCR3: other.PCR3 } }),
  ).rejects.toMatchObject({ code: 'ERR_PCR_MISMATCH' })
})

test('--cpu-ids keeps every thread of QEMU on the CPUs it names, and nothing else', () => {
  expect(enclave.CPUIDs).toEqual([Number(cpu)])
  const pid = String(enclave.Processes['QEMU'])
  const threads = readdirSync(join('/proc', pid, 'task'))
  expect(threads.length).toBeGreaterThan(1)
  for (const thread of threads) expect(allowedCpus(join(pid, 'task', thread))).toBe(cpu)
  const swtpm = String(enclave.Processes['swtpm'])
  expect(allowedCpus(swtpm)).toBe(allowedCpus('self'))
})

test('--huge-pages takes the memory from what the host has reserved, and gives it back', async () => {
  const pid = String(enclave.Processes['QEMU'])
  const maps = readFileSync(`/proc/${pid}/maps`, 'utf8')
  expect(maps).toMatch(/memory-backend-memfd/)
  expect(freeBefore - hugePages('Free') + hugePages('Rsvd')).toBe(MEMORY_MIB / 2)
  expect(enclave).toMatchObject({ HugePages: true })
  await host.json('terminate-enclave', '--enclave-id', enclave.EnclaveID, '--timeout', '0')
  // The kernel frees the last of it when QEMU has gone.
  await expect.poll(() => hugePages('Free') - hugePages('Rsvd')).toBe(freeBefore)
})
