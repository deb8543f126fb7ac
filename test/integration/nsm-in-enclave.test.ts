// The rules of the NSM as software inside an enclave meets them: through AWS's crate, the kernel,
// the agent, vsock, the keeper and the TPM. The guest program test/guests/nsm-check asks; the facts
// it reports are judged here.

import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { verifyAttestation, type Attestation } from '@cloister/attestation'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { guestReport, guestRootfs, type CheckReport } from '../fixtures/guest-program.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

let host: TestHost
let enclave: DescribedEnclave
let report: CheckReport

beforeAll(async () => {
  host = new TestHost()
  const rootfs = await guestRootfs(host.directory, 'nsm-check')
  const eif = await host.build('check', '--rootfs', rootfs, '--entrypoint', '/nsm-check')
  enclave = await host.start(eif)
  report = await guestReport(enclave.VsockSocket)
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

test('every claim of the guest program holds', () => {
  const broken = report.claims.filter(({ failure }) => failure !== null)
  expect(broken).toEqual([])
  expect(report.claims).toHaveLength(26)
})

function fact(name: string): Buffer {
  const text = report.facts[name]
  if (text === undefined) throw new Error(`the guest program reports no ${name}`)
  return Buffer.from(text, 'base64')
}

function verified(name: string): Promise<Attestation> {
  const root = new X509Certificate(readFileSync(join(host.state, 'authority/root.pem'))).raw
  return verifyAttestation(fact(name), { roots: [root], at: 'document', tpmEvidence: 'require' })
}

test('the module is named as describe-enclaves names the enclave', () => {
  expect(fact('moduleId').toString()).toBe(enclave.EnclaveID)
})

test('an extension is SHA-384 over the old value and the data', () => {
  const hash = createHash('sha384').update(fact('extendOld')).update('cloister').digest('hex')
  expect(fact('extendNew').toString('hex')).toBe(hash)
})

test('a document holds the locked PCRs only: 0 to 15 at boot, an own one once it is locked', async () => {
  const indices = async (name: string): Promise<readonly number[]> =>
    Object.keys((await verified(name)).pcrs).map(Number)
  const reserved = Array.from({ length: 16 }, (_, index) => index)
  expect(await indices('documentAtBoot')).toEqual(reserved)
  expect(await indices('documentAfterLock')).toEqual([...reserved, 16])
})
