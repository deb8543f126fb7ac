// The command line as a newcomer meets it: what the help shows works when it is pasted, errors have
// nitro-cli's numbers and say what to do, and standard output has results alone.

import { cpSync, existsSync, mkdirSync, readdirSync, watch, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { once } from '../fixtures/once.ts'
import { helloRootfs, TestHost } from '../host.ts'

let host: TestHost

beforeAll(async () => {
  host = new TestHost()
  cpSync(helloRootfs, join(host.directory, 'rootfs'), { recursive: true })
  await host.build('hello')
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** The lines of a command's help that call cloister, with continued lines joined. */
async function examples(command: string): Promise<readonly string[]> {
  const { stdout } = await host.run(command, '--help')
  const lines = stdout.replaceAll(/\\\n\s*/g, '').split('\n')
  return lines.map((line) => line.trim()).filter((line) => line.startsWith('cloister '))
}

async function pasted(...commands: readonly string[]): Promise<void> {
  for (const command of commands) {
    for (const example of await examples(command)) {
      const { status, stderr } = await host.shell(example)
      expect([example, status, status === 0 ? '' : stderr]).toEqual([example, 0, ''])
    }
  }
}

describe('every example of the help works when it is pasted', () => {
  test('build-enclave', async () => {
    const layout = join(host.directory, 'layout')
    const make = `umoci init --layout '${layout}' && umoci new --image '${layout}:hello' &&
      umoci insert --rootless --image '${layout}:hello' rootfs/hello /hello &&
      umoci config --image '${layout}:hello' --config.entrypoint /hello --architecture amd64 --os linux`
    expect((await host.shell(make)).status).toBe(0)
    writeFileSync(
      join(host.directory, 'cloister.yaml'),
      'cloister: 1\nname: hello\nversion: "1"\nsource: { rootfs: rootfs }\nrun: { entrypoint: [/hello] }\n',
    )
    expect(await examples('build-enclave')).toHaveLength(5)
    await pasted('build-enclave')
  })

  test('describe-eif and pcr', async () => {
    const make = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -days 2 \
      -subj /CN=signer -keyout key.pem -out signer.pem`
    expect((await host.shell(make)).status).toBe(0)
    writeFileSync(join(host.directory, 'settings.json'), '{}')
    expect(await examples('pcr')).toHaveLength(4)
    await pasted('describe-eif', 'pcr')
  })

  test('sign-eif, diff-eif, extract-eif and lint-eif', async () => {
    const [inPlace = '', exported = '', imported = ''] = await examples('sign-eif')
    const between = 'openssl dgst -sha384 -sign key.pem -out hello.sig hello.tbs'
    const { status, stderr } = await host.shell(
      `cp hello.eif other.eif && ${exported} && ${between} && ${imported} && ${inPlace} &&
        mv other.eif hello.eif && cp hello.eif other.eif`,
    )
    expect(status, stderr).toBe(0)
    await pasted('diff-eif', 'extract-eif', 'lint-eif')
  })

  test('run-enclave and verify', async () => {
    await pasted('run-enclave')
    const [enclave] = await host.list()
    if (enclave === undefined) throw new Error('no enclave runs')
    const { VsockSocket, Measurements } = enclave
    const document = await requestDocument(VsockSocket, Buffer.from('00112233', 'hex'))
    writeFileSync(join(host.directory, 'doc.cbor'), document)
    writeFileSync(join(host.directory, 'measurements.json'), JSON.stringify(Measurements))
    writeFileSync(join(host.directory, 'aws.cbor'), document)
    // The second one takes an enclave with a configuration: config-data.test.ts.
    const [own = '', , aws = ''] = await examples('verify')
    const verified = await host.shell(own.replace('/var/lib/cloister', host.state))
    expect(verified.status, verified.stderr).toBe(0)
    expect(JSON.parse(verified.stdout)).toMatchObject({ Verified: true, Nonce: '00112233' })
    // Ours is not AWS's: the flags are fine, the root is another.
    const foreign = await host.shell(aws)
    expect(foreign).toMatchObject({ status: 1, stdout: '' })
    expect(foreign.stderr).toMatch(/^ERR_(?!CLI)/)
    await host.json('terminate-enclave', '--all', '--timeout', '0')
  })

  test('describe-enclaves, console and terminate-enclave', async () => {
    expect(await examples('run-enclave')).toHaveLength(1)
    const [run = ''] = await examples('run-enclave')
    const started = await host.shell(`${run} --debug-mode`)
    expect(started.status, started.stderr).toBe(0)
    await pasted('describe-enclaves', 'open-ports', 'close-ports')
    // The third one listens until it is ended: metrics-server.test.ts.
    const [first = '', second = '', ...others] = await examples('metrics')
    expect(others).toEqual([expect.stringContaining('--listen')])
    for (const example of [first, second])
      expect(await host.shell(example)).toMatchObject({ status: 0 })
    const [console = ''] = await examples('console')
    expect((await host.shell(`${console} --disconnect-timeout 1`)).stdout).toContain(
      'Linux version',
    )
    await pasted('terminate-enclave')
    expect(await host.list()).toEqual([])
  })

  test('demo, and the bare command', async () => {
    expect(await examples('demo')).toEqual(['cloister demo'])
    await pasted('demo')
    expect(host.leftovers()).toEqual([])
  })
})

describe('standard output', () => {
  test('is empty after an error, and the error says what to do', async () => {
    const hello = join(host.directory, 'hello.eif')
    const wrong: readonly (readonly [number, readonly string[]])[] = [
      [2, ['no-such-command']],
      [2, ['describe-eif']],
      [2, ['run', 'hello.eif']],
      [2, ['run-enclave', '--eif-path', 'hello.eif', '--memory', 'much']],
      [2, ['run-enclave', '--eif-path', 'hello.eif', '--guest-ports', '5005-']],
      [2, ['open-ports', '--guest-ports', '1']],
      [2, ['open-ports', '--enclave-name', 'hello']],
      [2, ['close-ports', '--enclave-name', 'hello', '--parent-ports', '4294967296']],
      [2, ['terminate-enclave']],
      [11, ['terminate-enclave', '--enclave-id', 'i-0-enc0']],
      [58, ['open-ports', '--enclave-name', 'nobody', '--guest-ports', '1']],
      [58, ['terminate-enclave', '--enclave-name', 'nobody']],
      [58, ['console', '--enclave-name', 'nobody']],
      [39, ['run-enclave', '--eif-path', '/no/such.eif']],
      [39, ['run-enclave', '--eif-path', hello, '--cpu-ids', '0', '0']],
      [39, ['run-enclave', '--eif-path', hello, '--cpu-ids', '4000']],
      [39, ['run-enclave', '--eif-path', hello, '--memory', '1']],
      [35, ['describe-eif', '--eif-path', '/no/such.eif']],
      [35, ['describe-eif', '--eif-path', '/etc/passwd']],
      [50, ['build-enclave', '--docker-uri', 'busybox:latest', '--output-file', '/tmp/x.eif']],
      [19, ['build-enclave', '--rootfs', '/', '--blobs', '/no', '--output-file', '/tmp/x.eif']],
    ]
    for (const [expected, args] of wrong) {
      const { status, stdout, stderr } = await host.run(...args)
      expect([args.join(' '), status, stdout]).toEqual([args.join(' '), expected, ''])
      expect(stderr).toMatch(/ERR_[A-Z_]+: [^\n]+(\n[^\n]+)*\nWhat to do: \S/)
      expect(stderr).not.toMatch(/\n\s+at /)
    }
  })

  test('a reader that has seen enough is no error', async () => {
    const { stdout, stderr } = await host.shell(
      'for n in 1 2 3; do cloister describe-eif --eif-path hello.eif | head -1; done',
    )
    expect({ stdout, stderr }).toEqual({ stdout: '{\n{\n{\n', stderr: '' })
    const closed = await host.shell('cloister describe-eif --eif-path hello.eif 1>&-')
    expect(closed.stderr).not.toMatch(/\n\s+at /)
  })

  test('carries no control characters of an image', async () => {
    const metadata = join(host.directory, 'metadata.json')
    writeFileSync(metadata, JSON.stringify({ Note: '\u009b31m\u202eevil\u007f' }))
    const eif = await host.build(
      ...['noted', '--rootfs', helloRootfs, '--entrypoint', '/hello', '--metadata', metadata],
    )
    const { stdout } = await host.run('describe-eif', '--eif-path', eif)
    expect(stdout).not.toMatch(/[\u007f-\u009f\u202e]/)
    expect((JSON.parse(stdout) as { Metadata: { Note: string } }).Metadata.Note).toBe(
      '\u009b31m\u202eevil\u007f',
    )
  })
})

describe('run-enclave --config', () => {
  let config: string

  beforeAll(() => {
    config = join(host.directory, 'config.json')
  })

  async function runWith(
    settings: object,
    ...args: readonly string[]
  ): ReturnType<TestHost['run']> {
    writeFileSync(config, JSON.stringify(settings))
    return host.run('run-enclave', '--config', config, ...args)
  }

  test("takes nitro-cli's file", async () => {
    const result = await runWith({
      eif_path: join(host.directory, 'hello.eif'),
      enclave_name: 'from-file',
      cpu_count: 1,
      memory_mib: 128,
      enclave_cid: 77,
      debug_mode: true,
      // As nitro-cli's reader, which knows neither of the two.
      enclave_colour: 'grey',
      cpu_ids: null,
    })
    expect(result.status, result.stderr).toBe(0)
    expect(await host.list()).toMatchObject([
      { EnclaveName: 'from-file', EnclaveCID: 77, Flags: 'DEBUG_MODE' },
    ])
    await host.json('terminate-enclave', '--all', '--timeout', '0')
  })

  test.each([
    [17, 'no CPU', { cpu_count: 0 }],
    [17, 'half a CPU', { cpu_count: 0.5 }],
    [2, 'both ways to name CPUs', { cpu_count: 1, cpu_ids: [0] }],
    [2, 'a reserved CID', { enclave_cid: 3 }],
    [17, 'a CID out of range', { enclave_cid: 1e12 }],
    [17, 'a negative CID', { enclave_cid: -1 }],
    [17, 'memory as text', { memory_mib: '128' }],
    [17, 'half a MiB', { memory_mib: 128.5 }],
    [17, 'a malformed port list', { guest_ports: '5005-' }],
    [17, 'a port as a number', { parent_ports: 8000 }],
    [17, 'an unknown vsock', { vsock: 'kvm' }],
  ])('exits with %i for %s', async (status, _, settings) => {
    const eif_path = join(host.directory, 'hello.eif')
    expect(await runWith({ eif_path, ...settings })).toMatchObject({ status, stdout: '' })
  })

  test('excludes the flags it replaces', async () => {
    expect(await runWith({}, '--memory', '128')).toMatchObject({ status: 2 })
  })
})

test('Ctrl-C during build-enclave leaves nothing beside the output', async () => {
  const directory = join(host.directory, 'output')
  const big = join(host.directory, 'big')
  mkdirSync(directory)
  mkdirSync(big)
  writeFileSync(join(big, 'noise'), randomBytes(200 * 2 ** 20)) // slow to write: it cannot be compressed
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGINT', 'SIGTERM', 'SIGINT', 'SIGTERM'] as const) {
    const output = join(directory, 'big.eif')
    const args = [
      'build-enclave',
      '--rootfs',
      big,
      '--entrypoint',
      '/noise',
      '--output-file',
      output,
    ]
    // At the moment that there is something to leave.
    const watcher = watch(directory)
    const build = host.interruptible(...args)
    const ended = once(build, 'exit')
    await Promise.race([once(watcher, 'change'), ended])
    watcher.close()
    build.kill(signal)
    await ended
    expect(existsSync(output)).toBe(false)
    expect(readdirSync(directory)).toEqual([])
  }
})

test('advice about arguments names the help of the command that was called', async () => {
  for (const [args, help] of [
    [['run', '--memory', 'x'], 'run-enclave '],
    [['list', '--al'], 'describe-enclaves '],
    [['console', '--raw=x'], 'console '],
    [['frob'], ''],
  ] as const) {
    const { status, stderr } = await host.run(...args)
    expect(status).toBe(2)
    expect(stderr).toContain(`What to do: See \`cloister ${help}--help\`.`)
  }
})

test('an image whose program is not in it is built with a note that says so', async () => {
  const args = ['--rootfs', helloRootfs, '--output-file', join(host.directory, 'lost.eif')]
  const { status, stderr } = await host.run('build-enclave', ...args, '--entrypoint', '/nowhere')
  expect(status).toBe(0)
  expect(stderr).toContain('the app will not start: /nowhere is not in the image')
})
