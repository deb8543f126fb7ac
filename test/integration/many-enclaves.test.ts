// Several enclaves at once, the first ones a host ever had.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { verifyAttestation } from '@cloister/attestation'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { TestHost } from '../host.ts'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

test('three enclaves started at the same moment all come up, and nothing of them clashes', async () => {
  const eif = await host.build('hello')
  const enclaves = await Promise.all([host.start(eif), host.start(eif), host.start(eif)])
  for (const key of [
    'EnclaveID',
    'EnclaveName',
    'EnclaveCID',
    'VsockSocket',
    'ProcessID',
  ] as const) {
    expect(new Set(enclaves.map((enclave) => enclave[key])).size, key).toBe(3)
  }
  expect(enclaves.map(({ EnclaveName }) => EnclaveName).toSorted()).toEqual([
    'hello',
    'hello_1',
    'hello_2',
  ])
  expect(await host.list()).toHaveLength(3)
  const fourth = await host.run('run-enclave', '--eif-path', eif, '--memory', '128')
  expect(JSON.parse(fourth.stdout)).toMatchObject({ EnclaveName: 'hello_3' })
  expect(fourth.stderr).toContain('name hello is in use: this enclave is called hello_3')
  const root = new X509Certificate(readFileSync(join(host.state, 'authority/root.pem'))).raw
  const documents = await Promise.all(
    enclaves.map(({ VsockSocket }) => requestDocument(VsockSocket, Uint8Array.of(7))),
  )
  for (const [index, document] of documents.entries()) {
    const { moduleId } = await verifyAttestation(document, {
      roots: [root],
      tpmEvidence: 'require',
    })
    expect(moduleId).toBe(enclaves[index]?.EnclaveID)
  }
  const ended = await host.json<readonly object[]>('terminate-enclave', '--all', '--timeout', '0')
  expect(ended).toHaveLength(4)
  expect(await host.list()).toEqual([])
})
