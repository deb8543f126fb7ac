// Build, run, attest, verify on real parts: QEMU, swtpm, the guest kernel, the agent, the app.

import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeSign1 } from '@cloister/attestation/cose'
import { verifyAttestation } from '@cloister/attestation'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { helloRootfs, TestHost, type DescribedEnclave } from '../host.ts'

let host: TestHost
let eif: string
let enclave: DescribedEnclave
let root: Uint8Array
let document: Uint8Array
const nonce = randomBytes(32)

beforeAll(async () => {
  host = new TestHost()
  eif = await host.build('hello', '--rootfs', helloRootfs, '--entrypoint', '/hello')
  enclave = await host.start(eif)
  root = new X509Certificate(readFileSync(join(host.state, 'authority/root.pem'))).raw
  document = await requestDocument(enclave.VsockSocket, nonce)
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

test('the app gets a document over the nonce it was sent, with TPM evidence that holds', async () => {
  const attestation = await verifyAttestation(document, {
    roots: [root],
    nonce,
    measurements: enclave.Measurements,
    tpmEvidence: 'require',
  })
  expect(attestation).toMatchObject({
    moduleId: enclave.EnclaveID,
    assurance: 'software-tpm',
    debug: false,
  })
})

test('`cloister verify` says the same, with the files that the commands made', async () => {
  const file = join(host.directory, 'document.cbor')
  const measurements = join(host.directory, 'measurements.json')
  writeFileSync(file, document)
  writeFileSync(measurements, JSON.stringify({ Measurements: enclave.Measurements }))
  const args = [
    ...['verify', '--document', file, '--root', join(host.state, 'authority/root.pem')],
    ...[
      '--nonce',
      nonce.toString('hex'),
      '--measurements',
      measurements,
      '--tpm-evidence',
      'require',
    ],
  ]
  const verified = await host.json<{ readonly Nonce: string }>(...args)
  expect(verified).toMatchObject({ Verified: true, Nonce: nonce.toString('hex'), Debug: false })
})

test('the document is refused under AWS’s root, and `verify` demands a root', async () => {
  const file = join(host.directory, 'document.cbor')
  writeFileSync(file, document)
  const other = await host.run('verify', '--document', file, '--aws-root')
  expect(other.status).toBe(1)
  expect(other.stderr).toMatch(/^ERR_CHAIN/)
  const none = await host.run('verify', '--document', file)
  expect(none).toMatchObject({ status: 2 })
})

test('PCR4 is the host’s name by AWS’s one-level rule, PCR3 is zero without a role', async () => {
  const { pcrs } = await verifyAttestation(document, { roots: [root] })
  const instance = enclave.EnclaveID.split('-enc')[0] ?? ''
  const expected = createHash('sha384').update(new Uint8Array(48)).update(instance).digest('hex')
  expect(pcrs[4]).toBe(expected)
  expect(pcrs[3]).toBe('0'.repeat(96))
})

test('openssl accepts the certificate chain, strictly', () => {
  const payload = decodeSign1(document)
  const chain = join(host.directory, 'chain')
  execFileSync('mkdir', ['-p', chain])
  const certificates = certificatesOf(payload.payload)
  const pem = certificates.map((der) => new X509Certificate(der).toString())
  writeFileSync(join(chain, 'leaf.pem'), pem[0] ?? '')
  writeFileSync(join(chain, 'chip.pem'), pem[1] ?? '')
  const output = execFileSync('openssl', [
    ...['verify', '-x509_strict', '-CAfile', join(host.state, 'authority/root.pem')],
    ...['-untrusted', join(chain, 'chip.pem'), join(chain, 'leaf.pem')],
  ])
  expect(output.toString()).toMatch(/leaf\.pem: OK/)
})

test('several connections are answered at once, each with its own nonce', async () => {
  const nonces = Array.from({ length: 8 }, () => randomBytes(16))
  const documents = await Promise.all(
    nonces.map((own) => requestDocument(enclave.VsockSocket, own)),
  )
  for (const [index, own] of nonces.entries()) {
    const bytes = documents[index]
    if (bytes === undefined) throw new Error('no document')
    await verifyAttestation(bytes, { roots: [root], nonce: own, tpmEvidence: 'require' })
  }
})

test('QEMU runs unprivileged, under seccomp, without new privileges, as a user of its own', () => {
  const users = Object.entries(enclave.Processes).map(([name, pid]) => {
    const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8')
    expect(status, name).toMatch(/^NoNewPrivs:\t1$/m)
    expect(status, name).toMatch(/^CapEff:\t0+$/m)
    return /^Uid:\t(\d+)/m.exec(status)?.[1]
  })
  const qemu = readFileSync(`/proc/${String(enclave.Processes['QEMU'])}/status`, 'utf8')
  expect(qemu).toMatch(/^Seccomp:\t2$/m)
  if (process.getuid?.() === 0) {
    expect(new Set(users).size).toBe(3)
    expect(users).not.toContain('0')
  }
})

/** Leaf first, then its issuer. */
function certificatesOf(payload: Uint8Array): readonly Uint8Array[] {
  const bytes = Buffer.from(payload)
  const found: Uint8Array[] = []
  for (const key of ['certificate', 'cabundle']) {
    let at = bytes.indexOf(key) + key.length
    const count = key === 'cabundle' ? (bytes[at++] ?? 0) & 0x1f : 1
    for (let i = 0; i < count; i++) {
      const length = bytes.readUInt16BE(at + 1)
      found.push(bytes.subarray(at + 3, at + 3 + length))
      at += 3 + length
    }
  }
  const [leaf, , chip] = found
  if (leaf === undefined || chip === undefined) throw new Error('the document has no chain')
  return [leaf, chip]
}
