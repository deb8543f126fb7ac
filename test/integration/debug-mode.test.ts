import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { verifyAttestation } from '@cloister/attestation'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

let host: TestHost
let eif: string
let debug: DescribedEnclave

beforeAll(async () => {
  host = new TestHost()
  eif = await host.build('hello')
  debug = await host.start(eif, '--debug-mode')
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

test('a debug enclave is told as such, and its documents are refused unless debug is allowed', async () => {
  expect(debug.Flags).toBe('DEBUG_MODE')
  const root = new X509Certificate(readFileSync(join(host.state, 'authority/root.pem'))).raw
  const document = await requestDocument(debug.VsockSocket, Uint8Array.of(1))
  await expect(verifyAttestation(document, { roots: [root] })).rejects.toMatchObject({
    code: expect.stringMatching(/DEBUG/) as string,
  })
  const allowed = await verifyAttestation(document, {
    roots: [root],
    allowDebug: true,
    tpmEvidence: 'require',
  })
  expect(allowed.debug).toBe(true)
  for (const pcr of [0, 1, 2]) {
    expect(allowed.pcrs[pcr]).toBe('0'.repeat(96))
    expect(debug.Measurements[`PCR${String(pcr)}`]).toBe('0'.repeat(96))
  }
})

test('its console can be read while it runs and after its end', async () => {
  const args = ['console', '--enclave-id', debug.EnclaveID]
  const live = await host.run(...args, '--disconnect-timeout', '1')
  expect(live.stdout).toContain('Linux version 6.12')
  await host.json('terminate-enclave', '--enclave-id', debug.EnclaveID, '--timeout', '0')
  const saved = await host.run(...args)
  expect(saved).toMatchObject({ status: 0 })
  expect(saved.stdout).toContain('Linux version 6.12')
})

test('an enclave outside debug mode has no console', async () => {
  const enclave = await host.start(eif)
  const console = await host.run('console', '--enclave-id', enclave.EnclaveID)
  expect(console.status).toBe(44)
  expect(console.stdout).toBe('')
})
