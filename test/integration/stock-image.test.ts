// An image as AWS's own tools make it: its command line names no virtio-mmio device.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { verifyAttestation } from '@cloister/attestation'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { AWS_CMDLINE, CMDLINE_SUFFIX } from '../fixtures/aws-image.ts'
import { helloRootfs, TestHost } from '../host.ts'

interface DescribedEif {
  readonly Nsm?: string
  readonly Cmdline: string
  readonly CmdlineAppended?: string
  readonly Measurements: Readonly<Record<string, string>>
}

let host: TestHost
let eif: string

beforeAll(async () => {
  host = new TestHost()
  const source = ['--rootfs', helloRootfs, '--entrypoint', '/hello']
  eif = await host.build('stock', ...source, '--cmdline', AWS_CMDLINE)
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

test('describe-eif says what will be appended, and nothing for an image of ours', async () => {
  const stock = await host.json<DescribedEif>('describe-eif', '--eif-path', eif)
  expect(stock).toMatchObject({ Cmdline: AWS_CMDLINE, CmdlineAppended: CMDLINE_SUFFIX })
  const ours = await host.json<DescribedEif>('describe-eif', '--eif-path', await host.build('ours'))
  expect(ours).not.toHaveProperty('CmdlineAppended')
  expect(stock.Nsm).toContain('needs QEMU 10.2 or later')
  expect(ours).not.toHaveProperty('Nsm')
})

test('it starts, and its documents carry the measurements of the image as it was built', async () => {
  const enclave = await host.start(eif)
  const { Measurements } = await host.json<DescribedEif>('describe-eif', '--eif-path', eif)
  const document = await requestDocument(enclave.VsockSocket, Uint8Array.of(5))
  const root = new X509Certificate(readFileSync(join(host.state, 'authority/root.pem'))).raw
  const attestation = await verifyAttestation(document, {
    roots: [root],
    measurements: Measurements,
    tpmEvidence: 'require',
  })
  expect(attestation.debug).toBe(false)
})

test('a device named in some other word of the command line does not count', async () => {
  const source = ['--rootfs', helloRootfs, '--entrypoint', '/hello']
  const cmdline = `${AWS_CMDLINE} note=virtio_mmio.device=none`
  const odd = await host.build('odd', ...source, '--cmdline', cmdline)
  const described = await host.json<DescribedEif>('describe-eif', '--eif-path', odd)
  expect(described.CmdlineAppended).toBe(CMDLINE_SUFFIX)
})
