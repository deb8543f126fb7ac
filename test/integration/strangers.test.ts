// Programs that were not written for Cloister, in production mode, driven by the command line: what
// they print, how they end, and a document that verifies.

import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DecryptCommand, EncryptCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ROOT_KINDS } from '../../src/image/index.ts'
import { parseExposition } from '../fixtures/exposition.ts'
import { goRootfs, pythonRootfs } from '../fixtures/strangers.ts'
import { RunningBroker } from '../fixtures/kms/running-broker.ts'
import { GuestRecipient, newKeyFor } from '../fixtures/kms/guest-recipient.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

/** What inspect prints, as far as it is looked at here. */
interface Inspected {
  readonly Measurements: Readonly<Record<string, string>>
  readonly Machine: { readonly Devices: readonly string[]; readonly CPUThreads: readonly number[] }
  readonly Tpm: {
    readonly LockedPcrs: readonly number[]
    readonly Pcrs: Readonly<Record<string, string>>
    readonly Certificate: { readonly NotAfter: string }
  }
  readonly Nsm: readonly object[]
  readonly Processes: readonly {
    readonly Name: string
    readonly ResidentKiB: number
    readonly Sandbox: { readonly Seccomp: string }
  }[]
  readonly Timeline: readonly { readonly Step: string }[]
}

let host: TestHost
/** The Go web server's enclave, which runs until the end. */
let goEnclave: DescribedEnclave

beforeAll(() => {
  host = new TestHost()
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

test.each(ROOT_KINDS)(
  "a script for Debian's Python prints, answers on vsock, and its exit status arrives, in a root as %s",
  async (root) => {
    const rootfs = await pythonRootfs(join(host.directory, root), 'print-and-exit.py')
    const words = ['--entrypoint', '/usr/bin/python3', '/app.py', '--root', root]
    const eif = await host.build(root, '--rootfs', rootfs, ...words)
    const { EnclaveID, Flags } = await host.start(eif)
    expect(Flags).toBe('NONE')
    const ask = `echo 7 | cloister connect --enclave-name ${root} --port 5005 --timeout 120`
    expect(await host.shell(ask)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^Python 3\.\d+\n$/) as string,
    })
    const state = async (): Promise<string> => (await host.describe(EnclaveID)).State
    await expect.poll(state).toBe('TERMINATED')
    expect((await host.describe(EnclaveID)).End).toMatchObject({ First: 'app', ExitCode: 7 })
  },
)

test('a static Go web server on published libraries answers with a document that verifies', async () => {
  const rootfs = await goRootfs(host.directory, 'http-attestation')
  const eif = join(host.directory, 'go.eif')
  const words = ['--rootfs', rootfs, '--entrypoint', '/http-attestation', '--output-file', eif]
  writeFileSync(join(host.directory, 'go.json'), JSON.stringify(await host.json('build', ...words)))
  goEnclave = await host.start(eif)
  expect(goEnclave.Flags).toBe('NONE')
  // The document is what follows the head of the HTTP answer.
  const ask = `printf 'GET /attestation?nonce=00010203 HTTP/1.0\\r\\n\\r\\n' |
    cloister connect --enclave-name go --port 5005 --timeout 120 | sed -b '1,/^\\r$/d' > document.cbor
    cloister verify --document document.cbor --root '${host.state}/authority/root.pem' \
      --nonce 00010203 --measurements go.json --tpm-evidence require`
  const { status, stdout, stderr } = await host.shell(ask)
  expect(status, stderr).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ Verified: true, Debug: false, Nonce: '00010203' })
})

test('inspect shows its devices, its TPM, its processes and their sandboxes, and what its NSM was asked', async () => {
  const inspected = await host.json<Inspected>('inspect', 'go')
  const { Machine, Tpm, Nsm, Processes, Timeline, Measurements } = inspected
  expect(Machine).toMatchObject({ Status: 'running', MemoryMiB: 128 })
  expect(Machine.Devices).toContain('vhost-user-vsock-device')
  expect(Machine.CPUThreads).toHaveLength(1)
  for (const pcr of ['PCR0', 'PCR1', 'PCR2']) expect(Tpm.Pcrs[pcr]).toBe(Measurements[pcr])
  expect(Tpm.LockedPcrs).toEqual(Array.from({ length: 16 }, (_, index) => index))
  expect(Date.parse(Tpm.Certificate.NotAfter)).toBeGreaterThan(Date.now())
  expect(Nsm).toContainEqual(
    expect.objectContaining({ Request: 'Attestation', Results: { Success: 1 } }),
  )
  expect(Processes.map(({ Name }) => Name).toSorted()).toEqual(
    ['QEMU', 'keeper', 'swtpm', 'vsock card'].toSorted(),
  )
  for (const { Name, Sandbox, ResidentKiB } of Processes) {
    expect(ResidentKiB, Name).toBeGreaterThan(0)
    if (Name === 'keeper') continue
    expect(Sandbox, Name).toMatchObject({ NoNewPrivileges: true, Capabilities: '0' })
  }
  const qemu = Processes.find(({ Name }) => Name === 'QEMU')
  expect(qemu?.Sandbox.Seccomp).toBe('filter')
  expect(Timeline.map(({ Step }) => Step)).toContain('boot to the heartbeat')
})

test('metrics have the latency of its NSM, and what its processes use', async () => {
  const families = parseExposition((await host.run('metrics')).stdout)
  const samples = (name: string): ReturnType<typeof parseExposition>[number]['samples'] =>
    families.find((family) => family.name === name)?.samples ?? []
  const count = samples('cloister_nsm_request_seconds').find(
    ({ suffix, labels }) => suffix === '_count' && labels['request'] === 'Attestation',
  )
  expect(count?.value).toBe(1)
  const processes = samples('cloister_process_cpu_seconds_total')
  expect(processes.map(({ labels }) => labels['process'])).toContain('QEMU')
})

test('a key opens for the running image, not for a changed one, and not for the host', async () => {
  const root = new X509Certificate(readFileSync(join(host.state, 'authority/root.pem'))).raw
  await using broker = await RunningBroker.start({ roots: [root] })
  const [admin, app] = [broker.client('root'), broker.client('app')]
  const changed = await host.json<{ readonly Measurements: Readonly<Record<string, string>> }>(
    ...['build', '--rootfs', join(host.directory, 'http-attestation-rootfs')],
    ...['--entrypoint', '/http-attestation', '--cmd', 'changed'],
    ...['--output-file', join(host.directory, 'changed.eif')],
  )
  const secret = Buffer.from('only inside the enclave')
  const sealedFor = async (measurements: Readonly<Record<string, string>>) => {
    const KeyId = await newKeyFor(admin, measurements)
    return admin.send(new EncryptCommand({ KeyId, Plaintext: secret }))
  }
  const [ours, other] = [
    await sealedFor(goEnclave.Measurements),
    await sealedFor(changed.Measurements),
  ]
  const guest = new GuestRecipient(goEnclave.VsockSocket, 5005)
  const Recipient = await guest.recipient()
  const decrypt = (CiphertextBlob: Uint8Array | undefined, given: object) =>
    app.send(new DecryptCommand({ CiphertextBlob, ...given }))
  const granted = await decrypt(ours.CiphertextBlob, { Recipient })
  expect(granted.Plaintext).toBeUndefined()
  expect(await guest.open(granted.CiphertextForRecipient)).toBe(
    createHash('sha256').update(secret).digest('hex'),
  )
  const denied = { name: 'AccessDeniedException' }
  await expect(decrypt(ours.CiphertextBlob, {})).rejects.toMatchObject(denied)
  await expect(decrypt(other.CiphertextBlob, { Recipient })).rejects.toMatchObject(denied)
  expect(broker.faults).toEqual([])
  for (const client of [admin, app]) client.destroy()
})

test("curl reaches Python's http.server through cloister forward, and the guest one on the host", async () => {
  const rootfs = await pythonRootfs(host.directory, 'http-server.py', 'stdlib')
  const words = ['--entrypoint', '/usr/bin/python3', '/app.py']
  const eif = await host.build('http', '--rootfs', rootfs, ...words)
  await host.start(eif, '--memory', '1024', '--parent-ports', '8000')
  const ready = 'cloister connect --enclave-name http --port 5005 --timeout 120 < /dev/null'
  expect(await host.shell(ready)).toMatchObject({ status: 0 })
  const script = `
    echo from-the-host > index.html
    python3 -u -m http.server --bind 127.0.0.1 0 > served 2>&1 &
    trap "kill $!" EXIT
    until grep -q port served; do sleep 0.1; done
    served=$(sed -n 's/.* port \\([0-9]*\\).*/\\1/p;q' served)
    cloister forward --enclave-name http -L 0:5005 -R 8000:$served 2> told & forward=$!
    until [ $(wc -l < told) = 2 ]; do sleep 0.1; done
    url=http://$(sed -n 's/Forwarding \\(127[^ ]*\\) .*/\\1/p' told)
    curl -sS $url/big | sha256sum | cut -d' ' -f1; curl -sS $url/big.sha256; echo
    head -c 100000000 /dev/urandom > sent; sha256sum < sent | cut -d' ' -f1
    curl -sS --data-binary @sent -H Expect: $url/; echo
    seq 50 | curl -sS --parallel --parallel-max 50 --parallel-immediate $url/big.sha256?[1-50] \
      | sed 's/.\\{64\\}/&\\n/g' | sort | uniq -c
    curl -sS $url/from-parent | tail -1
    cloister stop --enclave-name http > /dev/null; wait $forward
    tail -1 told`
  const { stdout, stderr } = await host.shell(script)
  const [down, downSum, up, upSum, many, fromParent, last] = stdout.trim().split('\n')
  expect({ down, up }, stderr).toEqual({ down: downSum, up: upSum })
  expect(many?.trim()).toBe(`50 ${String(downSum)}`)
  expect({ fromParent, last }).toEqual({
    fromParent: 'from-the-host',
    last: 'The enclave http has ended.',
  })
})
