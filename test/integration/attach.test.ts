// run-enclave --attach: an enclave as a program in the foreground, without debug mode.

import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { guestRootfs } from '../fixtures/guest-program.ts'
import { once } from '../fixtures/once.ts'
import { pythonRootfs } from '../fixtures/strangers.ts'
import { TestHost } from '../host.ts'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

class Foreground {
  readonly child: ChildProcess
  readonly closed: Promise<unknown[]>
  stdout = ''
  stderr = ''

  constructor(eif: string, on: TestHost, ...args: readonly string[]) {
    this.child = on.spawn('run', '--eif-path', eif, '--attach', ...args)
    this.closed = once(this.child, 'close')
    this.child.stdout?.on('data', (bytes: Buffer) => (this.stdout += bytes.toString('utf8')))
    this.child.stderr?.on('data', (bytes: Buffer) => (this.stderr += bytes.toString('utf8')))
  }

  /** Sends a signal as soon as the standard error has this text. */
  async signalAfter(text: string, signal: NodeJS.Signals): Promise<void> {
    await expect.poll(() => this.stdout + this.stderr).toContain(text)
    this.child.kill(signal)
  }

  async status(): Promise<unknown> {
    return (await this.closed)[0]
  }
}

/** The Python program, whose manifest lets its "ready" and its standard error leave. */
async function pythonImage(name: string, ...words: readonly string[]): Promise<string> {
  await pythonRootfs(host.directory, 'foreground.py')
  const program = JSON.stringify(['/usr/bin/python3', '/app.py', ...words])
  writeFileSync(
    host.path('cloister.yaml'),
    `cloister: 1
name: ${name}
version: "1"
source: { rootfs: foreground-rootfs }
run: { entrypoint: ${program} }
resources: { memory: 160M }
logs: { stdout: [ready], stderr: all }
restart: always
`,
  )
  const eif = host.path(`${name}.eif`)
  await host.json('build', '--manifest', host.path('cloister.yaml'), '--output-file', eif)
  return eif
}

test("the app's declared lines come out of its streams, and a signal ends it as it wants", async () => {
  const eif = await pythonImage('foreground')
  const attached = new Foreground(eif, host)
  await attached.signalAfter('ready', 'SIGTERM')
  expect(await attached.status()).toBe(5)
  // No JSON, no line that is not declared; and nothing starts again.
  expect(attached.stdout).toBe('ready \u001b[2J\n')
  expect(attached.stderr).toContain('\nending\n')
  expect(await host.list()).toEqual([])
  expect((await host.list('--all')).at(-1)).toMatchObject({ End: { First: 'app', ExitCode: 5 } })
})

test('the status is 128 and the signal of an app, 137 when it does not end, 125 when a part dies', async () => {
  const rootfs = await guestRootfs(host.directory, 'probe')
  const image = (name: string, ...words: readonly string[]): Promise<string> =>
    host.build(name, '--rootfs', rootfs, '--entrypoint', '/probe', ...words)
  const killed = new Foreground(await image('killed', 'kill', '11'), host, '--memory', '128')
  expect(await killed.status()).toBe(128 + 11)
  expect(killed.stderr).toContain('declares no log lines')

  // It has said so once it ignores SIGTERM.
  const deaf = await pythonImage('deaf', 'deaf')
  const patient = new Foreground(deaf, host, '--stop-timeout', '1')
  await patient.signalAfter('ready', 'SIGINT')
  expect(await patient.status()).toBe(137)

  const impatient = new Foreground(deaf, host, '--stop-timeout', '600')
  await impatient.signalAfter('ready', 'SIGINT')
  await expect.poll(async () => (await host.list()).at(-1)?.State).toBe('TERMINATING')
  impatient.child.kill('SIGTERM')
  expect(await impatient.status()).toBe(137)

  const broken = new Foreground(deaf, host)
  await expect.poll(() => broken.stdout).toContain('ready')
  process.kill((await host.list()).at(-1)?.Processes['QEMU'] ?? 0, 'SIGKILL')
  expect(await broken.status()).toBe(125)
  expect(broken.stderr).toContain('QEMU was killed by SIGKILL')

  // A reader that goes away takes the enclave along, as it does with a program.
  const orphan = new Foreground(deaf, host)
  await expect.poll(() => orphan.stdout).toContain('ready')
  expect(await host.list()).toHaveLength(1)
  orphan.child.stderr?.destroy()
  process.kill((await host.list()).at(-1)?.Processes['swtpm'] ?? 0, 'SIGKILL')
  await orphan.status()
  await expect.poll(() => host.list()).toEqual([])
})

test('a service manager hears when the app listens, and not of one that never does', async () => {
  const eif = await host.build('hello')
  const socket = host.path('notify')
  await using service = new TestHost({ NOTIFY_SOCKET: socket })
  const manager = spawn('socat', ['-u', `UNIX-RECV:${socket}`, 'STDOUT'])
  let heard = ''
  manager.stdout.on('data', (bytes: Buffer) => (heard += bytes.toString('utf8')))
  await expect.poll(() => existsSync(socket)).toBe(true)
  const ready = ['--memory', '128', '--guest-ports', '5005,1', '--wait-port']
  try {
    const never = new Foreground(eif, service, ...ready, '1', '--boot-timeout', '12')
    expect(await never.status()).toBe(39)
    expect(never.stderr).toMatch(
      /ERR_VSOCK_CONNECT: nothing in hello listens on port 1\n[\s\S]*--publish/,
    )
    expect([heard, await service.list()]).toEqual(['', []])

    const enclave = new Foreground(eif, service, ...ready, '5005')
    await expect.poll(() => heard).toContain('READY=1')
    expect((await service.list()).at(-1)).toMatchObject({ State: 'RUNNING' })
    enclave.child.kill('SIGTERM')
    expect(await enclave.status()).toBe(128 + 15)
  } finally {
    manager.kill()
  }
})

test('what does not go together with --attach is refused', async () => {
  const config = host.path('config.json')
  writeFileSync(config, JSON.stringify({ eif_path: '/no/such.eif', debug_mode: true }))
  const run = ['run', '--eif-path', '/no/such.eif', '--attach']
  for (const args of [
    [...run, '--debug-mode'],
    [...run, '--attach-console'],
    [...run, '--restart', 'always'],
    ['run', '--config', config, '--attach'],
  ])
    expect(await host.run(...args)).toMatchObject({ status: 2, stdout: '' })
  // A start that fails ends as it does without the flag.
  expect((await host.run(...run)).status).toBe(39)
})
