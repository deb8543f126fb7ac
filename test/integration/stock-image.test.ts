// An image as AWS's own tools make it: its command line names no virtio-mmio device.

import { cpSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { verifyAttestation } from '@cloister/attestation'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { AWS_CMDLINE, CMDLINE_SUFFIX } from '../fixtures/aws-image.ts'
import { guestProgram, guestReport } from '../fixtures/guest-program.ts'
import { pythonRootfs } from '../fixtures/strangers.ts'
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

test("under AWS's init the app's streams take and drop everything, and stdin is at its end", async () => {
  const rootfs = await pythonRootfs(host.directory, 'print-and-exit.py')
  cpSync(await guestProgram('probe'), join(rootfs, 'probe'))
  cpSync(realpathSync('/bin/sh'), join(rootfs, 'usr/bin/sh'))
  const python =
    'import sys; print("Python"); print("too", file=sys.stderr); assert sys.stdin.read() == ""'
  const script = `set -e; echo a line; echo another >&2; read x || true
    /usr/bin/python3 -c '${python}'; exec /probe surroundings`
  writeFileSync(join(rootfs, 'app.sh'), script)
  const image = await host.build(
    'streams',
    ...['--rootfs', rootfs, '--entrypoint', '/usr/bin/sh', '/app.sh'],
    ...['--init', await guestProgram('aws-init'), '--cmdline', AWS_CMDLINE],
  )
  const enclave = await host.start(image)
  expect(enclave.Flags).toBe('NONE')
  expect(await guestReport(enclave.VsockSocket)).toMatchObject({ output: 'accepted' })
  expect(await host.run('console', '--enclave-id', enclave.EnclaveID)).toMatchObject({
    stdout: '',
    stderr: expect.stringContaining('ERR_KEEPER_NO_CONSOLE') as string,
  })
})

test('a device named in some other word of the command line does not count', async () => {
  const source = ['--rootfs', helloRootfs, '--entrypoint', '/hello']
  const cmdline = `${AWS_CMDLINE} note=virtio_mmio.device=none`
  const odd = await host.build('odd', ...source, '--cmdline', cmdline)
  const described = await host.json<DescribedEif>('describe-eif', '--eif-path', odd)
  expect(described.CmdlineAppended).toBe(CMDLINE_SUFFIX)
})
