// A stock AWS image with a QEMU that can be given the NSM card: AWS's kernel driver, not our agent,
// offers /dev/nsm and a random number generator, and everything that holds of our own images holds
// of it.

import { X509Certificate } from 'node:crypto'
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { verifyAttestation } from '@cloister/attestation'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildAwsImage, CMDLINE_SUFFIX } from '../fixtures/aws-image.ts'
import { guestReport, type CheckReport } from '../fixtures/guest-program.ts'
import { recentQemu, TestHost, type DescribedEnclave } from '../host.ts'

/** Knows the device no more than QEMU before 10.2 does. */
const OLDER_QEMU = `#!/bin/sh
[ "$1" = -device ] && exit 0
exec '${recentQemu()}' "$@"
`

let host: TestHost
let eif: string
let enclave: DescribedEnclave
let report: CheckReport

beforeAll(async () => {
  host = new TestHost({ CLOISTER_QEMU: recentQemu() })
  eif = await buildAwsImage(host, 'nsm-check')
  enclave = await host.start(eif)
  report = await guestReport(enclave.VsockSocket)
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

function fact(name: string): Buffer {
  return Buffer.from(report.facts[name] ?? '', 'base64')
}

test('every claim of the guest program holds through the kernel driver', () => {
  expect(report.claims.filter(({ failure }) => failure !== null)).toEqual([])
  expect(report.claims).toHaveLength(26)
  // Misc devices have major number 10; one of a program's own does not.
  expect(fact('miscDevice').toString()).toMatch(/^10:\d+\n$/)
})

test('the NSM is the random number generator of the guest', () => {
  expect(fact('generator').toString()).toBe('nsm-hwrng\n')
  expect(fact('random')).toHaveLength(1000)
  expect(new Set(fact('random')).size).toBeGreaterThan(200)
})

test('its documents verify, with the measurements of the image as it was built', async () => {
  const { Measurements } = await host.json<{
    readonly Measurements: Readonly<Record<string, string>>
  }>('describe-eif', '--eif-path', eif)
  const root = new X509Certificate(readFileSync(join(host.state, 'authority/root.pem'))).raw
  for (const name of ['documentAtBoot', 'documentAfterLock']) {
    const attestation = await verifyAttestation(fact(name), {
      roots: [root],
      measurements: Measurements,
      tpmEvidence: 'require',
    })
    expect(attestation.moduleId).toBe(enclave.EnclaveID)
  }
})

test('the card is a part of the enclave, and the journal tells what it serves', () => {
  expect(enclave.Processes).toHaveProperty(['NSM card'])
  expect(journal(enclave)).toContain('the NSM card is confined: Landlock')
})

test("the parent's port of the NSM is closed, and nobody serves it", async () => {
  const [described] =
    await host.json<readonly { readonly Vsock: { readonly ParentPorts: string } }[]>(
      'describe-enclaves',
    )
  expect(described?.Vsock.ParentPorts).toBe('9000,9002')
  const sockets = readdirSync(dirname(enclave.VsockSocket))
  expect(sockets).toEqual(expect.arrayContaining(['vsock.sock_9000', 'vsock.sock_9002']))
  expect(sockets).not.toContain('vsock.sock_9001')
})

test('an image of ours has no NSM card, whatever QEMU can do', async () => {
  const ours = await host.start(await host.build('ours'))
  expect(ours.Processes).not.toHaveProperty(['NSM card'])
  expect(journal(ours)).not.toContain('NSM card')
})

test('an image may name both places itself; its agent leaves the device to the kernel', async () => {
  const rootfs = join(host.directory, 'nsm-check-rootfs')
  const source = ['--rootfs', rootfs, '--entrypoint', '/nsm-check']
  const image = await host.build('mixed', ...source, '--cmdline', `panic=-1${CMDLINE_SUFFIX}`)
  const described = await host.json<object>('describe-eif', '--eif-path', image)
  expect(described).not.toHaveProperty('CmdlineAppended')
  const mixed = await host.start(image)
  const { facts, claims } = await guestReport<CheckReport>(mixed.VsockSocket)
  expect(Buffer.from(facts['miscDevice'] ?? '', 'base64').toString()).toMatch(/^10:\d+\n$/)
  expect(Buffer.from(facts['generator'] ?? '', 'base64').toString()).toBe('nsm-hwrng\n')
  expect(claims.filter(({ failure }) => failure !== null)).toEqual([])
})

test('without such a QEMU the image starts, and the journal says what to do', async () => {
  const program = join(host.directory, 'older-qemu')
  writeFileSync(program, OLDER_QEMU, { mode: 0o755 })
  chmodSync(host.directory, 0o711) // QEMU runs as another user
  await using old = new TestHost({ CLOISTER_QEMU: program })
  const started = await old.start(await buildAwsImage(old, 'probe'))
  expect(started.Processes).not.toHaveProperty(['NSM card'])
  expect(journal(started, old)).toContain('install QEMU 10.2 or later')
})

function journal({ EnclaveID }: DescribedEnclave, of: TestHost = host): string {
  return readFileSync(join(of.runtime, 'enclaves', EnclaveID, 'journal.log'), 'utf8')
}
