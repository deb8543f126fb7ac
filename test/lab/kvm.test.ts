// Cloister under real KVM, as root and as ordinary users, in a host of the lab's: one boot of it for
// every test of this file. Images are built outside, and documents are verified outside too.

import { randomBytes } from 'node:crypto'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { verifyAttestation } from '@cloister/attestation'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildAwsImage } from '../fixtures/aws-image.ts'
import { guestRootfs, type CheckReport } from '../fixtures/guest-program.ts'
import { TestHost } from '../host.ts'
import { Lab } from './lab.ts'
import * as enclaves from './lab-enclaves.ts'
import type { LabCaller, LabEnclave } from './lab-enclaves.ts'
import { recentQemuInLab } from './recent-qemu.ts'
import { repository } from './repository.ts'

const REPORT_PORT = 5006
const patient = { timeout: 300_000, interval: 200 }

let outside: TestHost
let lab: Lab
let root: LabCaller
let production: LabEnclave
let debug: LabEnclave
let mountsBefore: string
/** Started together, because the host has two processors, and looked at one after the other. */
let stock: Promise<LabEnclave>

beforeAll(async () => {
  outside = new TestHost()
  const probe = await guestRootfs(outside.directory, 'probe')
  await outside.build('hello')
  await outside.build('attacker', '--rootfs', probe, '--entrypoint', '/probe', 'attack')
  await outside.build('dialler', '--rootfs', probe, '--entrypoint', '/probe', 'dialler')
  await buildAwsImage(outside, 'nsm-check')
  cpSync(join(repository, 'test/parents/sample.py'), outside.path('sample.py'))
  lab = await Lab.start({ files: outside.directory })
  root = { lab, user: 'root' }
  mountsBefore = await enclaves.output(root, 'cat', '/proc/mounts')
  ;[production, debug] = await Promise.all([
    enclaves.startEnclave(root, '/files/hello.eif'),
    enclaves.startEnclave(root, '/files/hello.eif', '--enclave-name', 'debug', '--debug-mode'),
  ])
})

afterAll(async () => {
  try {
    await lab[Symbol.asyncDispose]()
  } finally {
    await outside[Symbol.asyncDispose]()
  }
})

test('two enclaves run at once under KVM, each QEMU as a user of its own', async () => {
  const users = await Promise.all(
    [production, debug].map(async (enclave) => {
      expect(enclave).toMatchObject({ State: 'RUNNING', Accelerator: 'kvm' })
      const pid = String(enclave.Processes['QEMU'])
      const files = await enclaves.output(root, 'ls', '-l', `/proc/${pid}/fd`)
      expect(files).toMatch(/anon_inode:kvm-vcpu/)
      return enclaves.output(root, 'stat', '--format=%u', `/proc/${pid}`)
    }),
  )
  expect(new Set([...users, '0\n']).size).toBe(3)
})

test('the document of a production enclave verifies, with TPM evidence', async () => {
  const nonce = randomBytes(32)
  const document = await enclaves.requestDocument(root, production, nonce)
  const attestation = await verifyAttestation(document, {
    roots: [await enclaves.rootCertificate(root)],
    nonce,
    measurements: production.Measurements,
    tpmEvidence: 'require',
  })
  expect(attestation).toMatchObject({ moduleId: production.EnclaveID, debug: false })
})

test('the image measures under KVM what it measures under TCG', async () => {
  const file = join(outside.directory, 'hello.eif')
  const { Measurements } = await outside.json<Pick<LabEnclave, 'Measurements'>>(
    ...['describe-eif', '--eif-path', file],
  )
  expect(production.Measurements).toMatchObject(Measurements)
})

test('a debug enclave shows its console, on which its kernel says that it runs on KVM', async () => {
  const args = ['console', '--enclave-id', debug.EnclaveID, '--disconnect-timeout', '20']
  const { status, stdout, stderr } = await enclaves.cloister(root, ...args)
  expect(status, stderr).toBe(0)
  expect(stdout).toMatch(/Hypervisor detected: KVM/)
  expect(stdout).toMatch(/kvm-clock/)
})

test('the document of a debug enclave is refused unless debug is allowed', async () => {
  const document = await enclaves.requestDocument(root, debug, randomBytes(8))
  const roots = [await enclaves.rootCertificate(root)] as const
  await expect(verifyAttestation(document, { roots })).rejects.toMatchObject({
    code: expect.stringMatching(/DEBUG/) as string,
  })
  expect(await verifyAttestation(document, { roots, allowDebug: true })).toMatchObject({
    debug: true,
  })
})

test('an ordinary user in group kvm runs the demo, under KVM', async () => {
  const newer = { lab, user: 'root', env: { CLOISTER_QEMU: recentQemuInLab } }
  stock = enclaves.startEnclave(newer, '/files/aws-nsm-check.eif')
  stock.catch(() => undefined) // the next test awaits it
  const { status, stdout, stderr } = await enclaves.cloister({ lab, user: 'lab' }, 'demo')
  expect(status, stderr).toBe(0)
  expect(stdout).toContain('The document verifies')
  expect(stdout).toContain('Accelerator: kvm')
})

test('a stock AWS image has its NSM from a card, and every claim of its program holds', async () => {
  const enclave = await stock
  expect(enclave).toMatchObject({ Accelerator: 'kvm' })
  expect(enclave.Processes).toHaveProperty(['NSM card'])
  const report = JSON.parse(await enclaves.report(root, enclave, REPORT_PORT)) as CheckReport
  expect(report.claims.filter(({ failure }) => failure !== null)).toEqual([])
  expect(report.claims).toHaveLength(26)
})

test('a guest that attacks its parent leaves its neighbour alone', async () => {
  const attacker = await enclaves.startEnclave(root, '/files/attacker.eif')
  const report = JSON.parse(await enclaves.report(root, attacker, REPORT_PORT)) as object
  expect(report).toMatchObject({ closed: true })
  const nonce = randomBytes(8)
  const document = await enclaves.requestDocument(root, production, nonce)
  const roots = [await enclaves.rootCertificate(root)] as const
  expect(await verifyAttestation(document, { roots, nonce })).toMatchObject({ debug: false })
  expect(await enclaves.describeEnclave(root, attacker.EnclaveID)).toMatchObject({
    State: 'RUNNING',
  })
})

test('--vsock host is refused on a host whose AF_VSOCK has no loopback', async () => {
  const run = ['run-enclave', '--eif-path', '/files/dialler.eif', '--vsock', 'host']
  const { status, stderr } = await enclaves.cloister(root, ...run)
  expect(stderr).toContain('ERR_VSOCK_HOST')
  expect(status).not.toBe(0)
})

/** What programs of the host's own AF_VSOCK are: AWS's sample in Python, and socat. */
const SERVERS = `modprobe vsock_loopback
python3 /files/sample.py server 8000 2 >/tmp/server 2>&1 &
socat -t 60 VSOCK-LISTEN:8001,fork EXEC:cat &
socat -t 60 VSOCK-LISTEN:8003,fork EXEC:cat &
for n in $(seq 100); do grep -q listening /tmp/server && exit; sleep 0.1; done; exit 1`

const UNIX_SERVER = `socat -t 60 UNIX-LISTEN:"$1"_8001,mode=666,fork SYSTEM:'cat; echo unix' >/dev/null 2>&1 &
until [ -S "$1"_8001 ]; do sleep 0.1; done`

test('with --vsock host a guest reaches what listens at the host’s own AF_VSOCK, on open ports only', async () => {
  await enclaves.output(root, 'bash', '-c', `(${SERVERS}) >/dev/null 2>&1`)
  const enclave = await enclaves.startEnclave(
    ...[root, '/files/dialler.eif', '--vsock', 'host', '--parent-ports', '8000-8002'],
  )
  const dialled = (line: string): Promise<string> => enclaves.dial(root, enclave, 5006, line)
  const answer = (): Promise<string> => dialled('8002 8002').catch(() => '')
  await expect.poll(answer, patient).not.toBe('') // once it listens
  const word = 'x'.repeat(60_000)
  expect(await dialled(`echo 8000 ${word}`)).toBe(`8000 open\n${word}`)
  expect(await dialled('echo 8001 socat')).toBe('8001 open\nsocat')
  expect(await dialled('8002 8003')).toBe('8002 refused\n8003 refused\n')

  await enclaves.output(root, 'bash', '-c', UNIX_SERVER, 'bash', enclave.VsockSocket)
  expect(await dialled('echo 8001 first')).toBe('8001 open\nfirstunix\n')

  const [, cid, port] =
    /cid (\d+) port (\d+)/.exec(await enclaves.output(root, 'cat', '/tmp/server')) ?? []
  expect(cid).toBe('1')
  expect(Math.floor(Number(port) / 512)).toBe(enclave.EnclaveCID)
})

const KERNEL = ['--vsock', 'kernel', '--enclave-cid', '16'] as const

/** Takes CID 16 of the host for a moment, as another virtual machine would. */
const TAKE_CID = `import fcntl, os, struct
fcntl.ioctl(os.open('/dev/vhost-vsock', os.O_RDWR), 0x4008AF60, struct.pack('Q', 16))`

test('--vsock kernel is refused without the module, and to a user who may not open its device', async () => {
  const run = ['run-enclave', '--eif-path', '/files/dialler.eif', ...KERNEL]
  const missing = await enclaves.cloister(root, ...run)
  expect(missing.stderr).toMatch(/ERR_VSOCK_KERNEL.*missing[^]*modprobe vhost_vsock/)
  await enclaves.output(root, 'modprobe', 'vhost_vsock')
  const denied = await enclaves.cloister({ lab, user: 'lab' }, ...run)
  expect(denied.stderr).toMatch(/ERR_VSOCK_KERNEL[^]*usermod -aG kvm/)
  await enclaves.output(root, 'bash', '-c', 'cd /dev; chgrp kvm vhost-vsock; chmod 660 vhost-vsock')
})

test('with --vsock kernel any program of the host dials the enclave’s CID, and the guest any program that listens', async () => {
  const user: LabCaller = { lab, user: 'lab' }
  const serve = `python3 /files/sample.py server 8004 1 >/tmp/server-8004 2>&1 & until grep -q listening /tmp/server-8004; do sleep 0.1; done`
  await enclaves.output(user, 'bash', '-c', serve)
  const enclave = await enclaves.startEnclave(
    ...[user, '/files/dialler.eif', ...KERNEL, '--parent-ports', '8004-8005'],
  )
  expect(enclave).toMatchObject({ EnclaveCID: 16, State: 'RUNNING', VsockKind: 'kernel' })
  const client = 'printf "%s\\n" "$1" | python3 /files/sample.py client 16 "$2"'
  const dialled = (line: string, port = '5006'): Promise<string> =>
    enclaves.output(user, 'bash', '-c', client, 'bash', line, port)
  const answer = (): Promise<string> => dialled('8005 8005').catch(() => '')
  await expect.poll(answer, patient).not.toBe('') // once it listens
  const word = 'x'.repeat(60_000)
  expect(await dialled(`echo 8004 ${word}`)).toBe(`8004 open\n${word}`)
  expect(await enclaves.output(user, 'cat', '/tmp/server-8004')).toMatch(/^cid 16 port \d+$/m)
  expect(await dialled('8005 8006')).toBe('8005 refused\n8006 refused\n')
  expect(await enclaves.dial(user, enclave, 5006, '8006 8006')).toBe('8006 refused\n')
  await expect(dialled('closed', '5007')).rejects.toThrow('Connection reset')

  const run = ['run-enclave', '--eif-path', '/files/dialler.eif', ...KERNEL]
  const second = await enclaves.cloister(root, ...run)
  expect(second.stderr).toMatch(/ERR_VSOCK_CID.* CID 16$/m)
  await enclaves.output(user, 'cloister', 'terminate-enclave', '--enclave-id', enclave.EnclaveID)
  await enclaves.output(user, 'python3', '-c', TAKE_CID)
})

test('a user outside group kvm is told why KVM is not used, and gets no KVM by asking for it', async () => {
  const outsider: LabCaller = { lab, user: 'outsider' }
  const run = ['run-enclave', '--eif-path', '/files/hello.eif', '--memory', '128']
  const [chosen, asked] = await Promise.all([
    enclaves.cloister(outsider, ...run, '--enclave-name', 'chosen', '--boot-timeout', '1'),
    enclaves.cloister(outsider, ...run, '--enclave-name', 'asked', '--accelerator', 'kvm'),
  ])
  expect(chosen.stderr).toMatch(/\/dev\/kvm.*TCG/)
  expect(asked.stderr).toContain('ERR_VMM_KVM')
  expect(asked.stderr).toContain('usermod -aG kvm')
  expect(asked.status).not.toBe(0)
})

test('after the end of every enclave no process, mount or file of theirs is left', async () => {
  for (const user of ['root', 'lab', 'outsider'])
    await enclaves.output({ lab, user }, 'cloister', 'terminate-enclave', '--all', '--timeout', '1')
  const processes = await enclaves.output(root, 'ps', '-e', '-o', 'args')
  expect(processes).not.toMatch(/qemu-system|swtpm|cloister-(vsock|nsm)|keeper/)
  expect(await enclaves.output(root, 'cat', '/proc/mounts')).toBe(mountsBefore)
  const find = `find /run/cloister /run/user/{lab,outsider}/cloister -type f -printf '%f\\n' | sort -u`
  expect(await enclaves.output(root, 'bash', '-c', find)).toBe(
    'console.log\njournal.log\nrecord.json\n',
  )
})
