// What happens to an image that somebody changed.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { verifyAttestation, type AttestationError } from '@cloister/attestation'
import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { TestHost } from '../host.ts'

const HEADER_BYTES = 548
const CRC_OFFSET = 544
const SECTION_HEADER_BYTES = 12

let host: TestHost
let image: Buffer
let pcr0: string

beforeAll(async () => {
  host = new TestHost()
  const eif = await host.build('hello')
  image = readFileSync(eif)
  const described = await host.json<{ readonly Measurements: Readonly<Record<string, string>> }>(
    ...['describe-eif', '--eif-path', eif],
  )
  pcr0 = described.Measurements['PCR0'] ?? ''
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** Section data by file order: kernel, cmdline, metadata, ramdisk 0, ramdisk 1. */
function section(index: number): { readonly offset: number; readonly size: number } {
  const offset = Number(image.readBigUInt64BE(0x1c + 8 * index)) + SECTION_HEADER_BYTES
  return { offset, size: Number(image.readBigUInt64BE(0x11c + 8 * index)) }
}

function withMendedCrc(bytes: Buffer): Buffer {
  const crc = crc32(bytes.subarray(HEADER_BYTES), crc32(bytes.subarray(0, CRC_OFFSET)))
  bytes.writeUInt32BE(crc, CRC_OFFSET)
  return bytes
}

function save(name: string, bytes: Buffer): string {
  const file = join(host.directory, name)
  writeFileSync(file, bytes)
  return file
}

/** One byte of each measured section, chosen so that the guest still boots. */
const tampered = {
  'the kernel': () => section(0).offset + 0x1d,
  'the command line': () =>
    section(1).offset + image.subarray(section(1).offset).indexOf('panic=-1') + 7,
  'a ramdisk': () => section(4).offset + section(4).size - 1,
}

test.each(Object.entries(tampered))('a byte flipped in %s fails the CRC', async (_name, offset) => {
  const bytes = Buffer.from(image)
  bytes[offset()] = (bytes[offset()] ?? 0) ^ 1
  const file = save('flipped.eif', bytes)
  const run = await host.run('run-enclave', '--eif-path', file, '--memory', '128')
  expect(run.stderr).toContain('ERR_EIF_CRC')
  expect(run.status).toBe(39)
  expect(await host.list('--all')).toEqual([])
})

test.each(Object.entries(tampered))(
  'with the CRC mended, a byte flipped in %s shows in PCR0 of the document',
  async (name, offset) => {
    const bytes = Buffer.from(image)
    bytes[offset()] = (bytes[offset()] ?? 0) ^ 1
    const enclave = await host.start(
      save(`${name.split(' ').at(-1) ?? ''}.eif`, withMendedCrc(bytes)),
    )
    const root = new X509Certificate(readFileSync(join(host.state, 'authority/root.pem'))).raw
    const document = await requestDocument(enclave.VsockSocket, Uint8Array.of(1))
    const refused = verifyAttestation(document, { roots: [root], measurements: { PCR0: pcr0 } })
    const actual = enclave.Measurements['PCR0'] ?? ''
    expect(actual).not.toBe(pcr0)
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_PCR_MISMATCH',
      details: { pcr: 0, expected: pcr0, actual },
    })
    const { message } = (await refused.catch((error: unknown) => error)) as AttestationError
    expect(message).toContain(pcr0)
    expect(message).toContain(actual)
    await host.json('terminate-enclave', '--enclave-id', enclave.EnclaveID, '--timeout', '0')
  },
)
