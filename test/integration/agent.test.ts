// The guest agent on the real kernel: what it does for an app, and what the parent hears when
// something is wrong. Whatever happens, the machine ends by itself.

import { beforeAll, describe, expect, it } from 'vitest'
import {
  bootAgent,
  buildProbe,
  probeManifest,
  type Promised,
} from '../fixtures/agent/agent-machine.ts'

const LONG_TIME_MS = 300_000

beforeAll(buildProbe, LONG_TIME_MS)

describe('an app', () => {
  it('gets the environment, working directory, user and arguments of its manifest', async () => {
    const user = { uid: 1000, gid: 1001, groups: [5, 6] }
    const env = ['NAME=a=b', 'EMPTY=']
    const manifest = probeManifest(['report', 'two words'], { env, workdir: '/tmp', user })
    const boot = await bootAgent({ manifest })
    expect(boot.console.split('\n')).toEqual(
      expect.arrayContaining([
        'Uid=1000,1000,1000,1000',
        'Gid=1001,1001,1001,1001',
        'Groups=5,6',
        'CapEff=0000000000000000',
        'CapAmb=0000000000000000',
        'SigBlk=0000000000000000',
        'cwd=/tmp',
        'argv=/probe|report|two words',
        'env:NAME=a=b',
        'env:EMPTY=',
        'env:PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        'env:HOME=/',
        'env:HOSTNAME=enclave',
      ]),
    )
    expect(boot.console.match(/^env:/gm)).toHaveLength(5)
    expect(boot.events.at(-1)).toEqual({ event: 'exited', code: 0 })
  })

  it('starts after the NSM gave entropy', async () => {
    const boot = await bootAgent({ manifest: probeManifest(['exit', '0']) })
    expect(boot.nsmRequests).toBe(2)
    expect(boot.events[0]).toEqual({ event: 'started', pid: expect.any(Number) as number })
    expect(boot.exitCode).toBe(0)
  })

  it('leaves no zombies: orphans are reaped', async () => {
    const boot = await bootAgent({ manifest: probeManifest(['orphans', '50']) })
    expect(boot.console).toContain('zombies=0\n')
  })
})

describe('the parent hears', () => {
  it('the exit status of the app', async () => {
    const boot = await bootAgent({ manifest: probeManifest(['exit', '7']) })
    expect(boot.events.at(-1)).toEqual({ event: 'exited', code: 7 })
  })

  it('the signal that it asked for and that ended the app', async () => {
    const boot = await bootAgent({ manifest: probeManifest(['sleep']), signal: 15 })
    expect(boot.events.at(-1)).toEqual({ event: 'signaled', signal: 15 })
  })

  it.each([
    ['a program that is not there', probeManifest([], { entrypoint: ['/none'] }), 'start /none'],
    [
      'a workdir that cannot be made',
      probeManifest([], { workdir: '/probe/none' }),
      'enter the workdir /probe/none',
    ],
    ['a manifest of another version', probeManifest([], { version: 2 }), 'read cloister.yaml'],
    ['a manifest with an unknown key', probeManifest([], { extra: 1 }), 'read cloister.yaml'],
    ['a manifest that is no JSON', 'version: 1\n', 'read cloister.yaml'],
    ['no manifest, and no shell to run instead', undefined, 'start sh'],
  ])('the failing step: %s', async (_, manifest, step) => {
    const boot = await bootAgent(manifest === undefined ? {} : { manifest })
    expect(boot.events).toEqual([{ event: 'failed', step, error: expect.any(String) as string }])
    expect(boot.exitCode).toBe(0)
  })

  it.each([
    [9000, "heartbeat on the parent's port 9000"],
    [9001, 'get entropy from the NSM'],
  ])('that nobody serves port %i', async (port, step) => {
    const boot = await bootAgent({ manifest: probeManifest([]), closedPorts: [port] })
    expect(boot.events).toMatchObject([{ event: 'failed', step }])
  })
})

describe('an image that was not unpacked whole', () => {
  const manifest = probeManifest(['exit', '0'])

  it.each([
    ['by bytes', { memoryMib: 112, files: { count: 1, bytes: 44 * 2 ** 20 } }],
    ['by count', { files: { count: 6000, bytes: 1 } }],
    ['by a file that is shorter', { promise: ({ bytes }: Promised) => ({ bytes: bytes + 1 }) }],
    ['by an entry', { promise: ({ entries }: Promised) => ({ entries: entries + 1 }) }],
    ['by its last entry', { promise: null }],
    ['in a way of another version', { promise: () => ({ version: 2 }) }],
  ])('never starts its app: %s', async (_, contents) => {
    const boot = await bootAgent({ manifest, ...contents })
    expect(boot.events).toMatchObject([{ event: 'failed', step: 'unpack the image' }])
    expect(boot.exitCode).toBe(0)
  })

  it.each([
    ['many files', { count: 2000, bytes: 1 }],
    ['large files of zeros', { count: 2, bytes: 4 * 2 ** 20 + 1 }],
  ])('starts it when all is there: %s', async (_, files) => {
    const boot = await bootAgent({ manifest, files })
    expect(boot.events.at(-1)).toEqual({ event: 'exited', code: 0 })
  })
})

it('runs the app without an agent channel, as with AWS, and powers off after it', async () => {
  const manifest = probeManifest(['report'])
  const boot = await bootAgent({ manifest, closedPorts: [9002] })
  expect(boot.events).toEqual([])
  expect(boot.console).toContain('argv=/probe|report')
  expect(boot.exitCode).toBe(0)
})

it('powers off after its last message although the parent never closes the stream', async () => {
  const manifest = probeManifest([], { entrypoint: ['/none'] })
  const boot = await bootAgent({ manifest, staysOpen: true })
  expect(boot.events).toMatchObject([{ event: 'failed', step: 'start /none' }])
  expect(boot.exitCode).toBe(0)
})

it('loses no line of the console, and lets any user open the standard output by name', async () => {
  const user = { uid: 1000, gid: 1000, groups: [] }
  const boot = await bootAgent({ manifest: probeManifest(['lines', '30'], { user }) })
  expect(boot.console.match(/^line \d+$/gm)).toHaveLength(3000)
  expect(boot.console).toMatch(/line 3000\n(.*\n)*cloister: the app exited with status 0\n/)
})
