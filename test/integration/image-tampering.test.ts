// What happens to an image that somebody changed.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { verifyAttestation, type AttestationError } from '@cloister/attestation'
import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { flipped, sectionOf, squashfsOffset } from '../fixtures/eif-bytes.ts'
import { helloRootfs, TestHost } from '../host.ts'

const hello = ['--rootfs', helloRootfs, '--entrypoint', '/hello']

let host: TestHost
let image: Buffer
let pcr0: string

beforeAll(async () => {
  host = new TestHost()
  const eif = await host.build('hello', ...hello, '--root', 'squashfs')
  image = readFileSync(eif)
  const described = await host.json<{ readonly Measurements: Readonly<Record<string, string>> }>(
    ...['describe-eif', '--eif-path', eif],
  )
  pcr0 = described.Measurements['PCR0'] ?? ''
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

function save(name: string, bytes: Buffer): string {
  const file = join(host.directory, name)
  writeFileSync(file, bytes)
  return file
}

/** A SquashFS superblock's time of modification, which the kernel does not use. */
const SQUASHFS_TIME_OFFSET = 8

/** One byte of each measured section, chosen so that the guest still boots. */
const tampered = {
  'the kernel': () => sectionOf(image, 0).offset + 0x1d,
  'the command line': () => image.indexOf('panic=-1', sectionOf(image, 1).offset) + 7,
  'a ramdisk': () => sectionOf(image, 4).offset + sectionOf(image, 4).size - 1,
  'the root file system': () => squashfsOffset(image) + SQUASHFS_TIME_OFFSET,
}

test.each(Object.entries(tampered))('a byte flipped in %s fails the CRC', async (_name, offset) => {
  const file = save('flipped.eif', flipped(image, offset(), false))
  const run = await host.run('run-enclave', '--eif-path', file, '--memory', '128')
  expect(run.stderr).toContain('ERR_EIF_CRC')
  expect(run.status).toBe(39)
  expect(await host.list('--all')).toEqual([])
})

test.each(Object.entries(tampered))(
  'with the CRC mended, a byte flipped in %s shows in PCR0 of the document',
  async (name, offset) => {
    const file = save(`${name.split(' ').at(-1) ?? ''}.eif`, flipped(image, offset(), true))
    const enclave = await host.start(file)
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
