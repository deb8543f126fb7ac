// One image, two platforms. AWS's stand-in is a QEMU that gives the guest an NSM as a virtio device,
// names both devices on the command line as its nitro-enclave machine does (the first one is then
// named twice), and a parent that serves the heartbeat's port alone.

import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { decodeCbor, type CborMap, type CborValue } from '@cloister/attestation/cbor'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { serveHeartbeat } from '../../src/keeper/guest/heartbeat.ts'
import { serveNsm } from '../../src/keeper/guest/nsm-channel.ts'
import { measureImage, type MeasuredImage } from '../../src/keeper/parts/measured-image.ts'
import { startNsmCard } from '../../src/nsm/index.ts'
import { Lifetime } from '../../src/subprocess/index.ts'
import { Machine } from '../../src/vmm/index.ts'
import { listenForGuest, reservedPorts, startVsockCard } from '../../src/vsock/index.ts'
import { launchedNsm, type LaunchedNsm } from '../fixtures/launched-nsm.ts'
import { helloRootfs, recentQemu, TestHost } from '../host.ts'

const BOTH_DEVICES = ' virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=512@0xfeb00c00:11'

let host: TestHost
let eif: string

beforeAll(async () => {
  host = new TestHost()
  const source = ['--rootfs', helloRootfs, '--entrypoint', '/hello']
  eif = await host.build('app', ...source, '--root', 'squashfs')
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** PCR0, PCR1 and PCR2 of a document. */
function pcrsOf(document: Uint8Array): readonly (string | undefined)[] {
  const [, , payload] = decodeCbor(document) as readonly CborValue[]
  const { pcrs } = Object.fromEntries(decodeCbor(payload as Uint8Array) as CborMap) as {
    readonly pcrs: ReadonlyMap<number, Uint8Array>
  }
  return [0, 1, 2].map((index) => Buffer.from(pcrs.get(index) ?? []).toString('hex'))
}

/** Starts the image as AWS does; returns the host's end of its vsock, after its heartbeat. */
async function startAsAws(
  image: MeasuredImage,
  nsm: LaunchedNsm,
  lifetime: Lifetime,
): Promise<string> {
  const [vsockDirectory, nsmDirectory] = ['vsock', 'nsm'].map((name) => join(host.directory, name))
  for (const directory of [vsockDirectory, nsmDirectory]) mkdirSync(directory ?? '')
  const card = await startVsockCard({
    program: resolve('build/bin/cloister-vsock'),
    directory: vsockDirectory ?? '',
    guestCid: 16,
    reservedPorts: '9000-9002',
    ports: { parentPorts: 'none', guestPorts: '5005' },
    confinement: {},
  })
  await lifetime.own(card)
  const nsmCard = await startNsmCard({
    program: resolve('build/bin/cloister-nsm'),
    directory: nsmDirectory ?? '',
    confinement: {},
  })
  await lifetime.own(nsmCard)
  void serveNsm(nsmCard.channel, (request) => nsm.nsm.handle(request))
  const { socketPath } = card
  const heartbeat = new Promise<void>((alive) => {
    void listenForGuest(
      { socketPath, port: reservedPorts.heartbeat, maxConnections: 1 },
      (socket) => serveHeartbeat(socket, alive),
    ).then((listener) => lifetime.own(listener))
  })
  await Machine.start({
    program: recentQemu(),
    confinement: {},
    vsock: card.vmm,
    nsm: nsmCard.vmm,
    kernelFd: image.kernelFd,
    initrdFd: image.initrdFd,
    own: (process) => lifetime.own(process),
    timeoutMs: 120_000,
    spec: {
      ...{ accelerator: 'tcg', memoryMib: 128, cpuCount: 1, cpuIds: [], serialPort: 'none' },
      ...{ cmdline: image.cmdline + BOTH_DEVICES, nsmCard: true },
    },
  })
  await heartbeat
  return socketPath
}

test('an image of ours attests the same PCR0 to PCR2 on a parent like AWS and on ours', async () => {
  const ours = await host.start(eif)
  const document = await requestDocument(ours.VsockSocket, Uint8Array.of(1))
  await host.json('terminate-enclave', '--enclave-id', ours.EnclaveID, '--timeout', '0')

  await using lifetime = new Lifetime()
  using image = await measureImage(eif, host.directory, { memoryMib: 128, cpuCount: 1 })
  const { pcr0, pcr1, pcr2 } = image.eif.measurements
  const measurements = {
    pcr0: pcr0.digest,
    pcr1: pcr1.digest,
    pcr2: pcr2.digest,
    pcr4: 'i-0123456789abcdef0',
  }
  await using nsm = await launchedNsm({ measurements })
  const socket = await startAsAws(image, nsm, lifetime)
  const theirs = await requestDocument(socket, Uint8Array.of(2))
  expect(pcrsOf(theirs)).toEqual(pcrsOf(document))
  expect(new Set(pcrsOf(theirs)).size).toBe(3)
})
