// cloister.yaml as a person writes it and as it is measured, through the commands that read it.

import { mkdirSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { availableMemoryMib } from '../../../src/enclaves/index.ts'
import { CloisterError } from '../../../src/errors.ts'
import { decodeMeasured, measuredPart } from '../../../src/manifest/measured.ts'
import { validateManifest } from '../../../src/manifest/validate.ts'
import { TestHost, type CliResult } from '../../host.ts'

const WHOLE = `# An application.
cloister: 1
name: web
version: "2.1"
source: { rootfs: rootfs }
run:
  entrypoint: [/app]
  env: { A: "1", B: two }
resources: { memory: 2G, cpus: 2 }
ports: [8080, 5005]
logs:
  stdout: all
  stderr: ["warn: ", "audit: "]
restart: on-failure
`

interface Described {
  readonly Measurements: Readonly<Record<string, string>>
  readonly Manifest?: object
  readonly ImageName: string
}

let host: TestHost

beforeAll(() => {
  host = new TestHost()
  mkdirSync(host.path('rootfs'))
  writeFileSync(host.path('rootfs/app'), '#!/bin/sh\n', { mode: 0o755 })
})

afterAll(() => {
  host.discard()
})

function write(text: string | Uint8Array, name = 'cloister.yaml'): string {
  writeFileSync(host.path(name), text)
  return host.path(name)
}

async function build(text: string, ...flags: readonly string[]): Promise<Described> {
  const eif = host.path('web.eif')
  const args = ['--manifest', write(text), '--output-file', eif, ...flags]
  await host.json('build-enclave', ...args)
  return host.json('describe-eif', '--eif-path', eif)
}

/** What is thrown for a text. */
function problem(text: string | Uint8Array): CloisterError {
  try {
    validateManifest(Buffer.from(text), 'x.yaml')
  } catch (error) {
    if (error instanceof CloisterError) return error
    throw error
  }
  throw new Error('it was accepted')
}

const matching = (pattern: RegExp): string => expect.stringMatching(pattern) as string

test('an image is built from a manifest alone, and says what was measured of it', async () => {
  expect(await build(WHOLE)).toMatchObject({
    ImageName: 'web',
    ImageVersion: '2.1',
    Manifest: {
      ...{ Name: 'web', Version: '2.1', MemoryMiB: 2048, CPUCount: 2, Ports: [5005, 8080] },
      ...{ Logs: { Stdout: [''], Stderr: ['audit: ', 'warn: '] }, Restart: 'on-failure' },
    },
  })
})

test('what it declares is in PCR2 alone; how it is written, and where from, is in no register', async () => {
  const { Measurements: whole } = await build(WHOLE)
  const same = `{cloister: 1, version: '2.1', restart: "on-failure", ports: [5005, 8080], name: web,
    logs: {stderr: ['audit: ', 'warn: ', 'warn: '], stdout: all}, resources: {cpus: 2, memory: 2048},
    run: {env: {A: '1', B: two}, entrypoint: [/app]}, source: {image: "oci:none"}}`
  expect((await build(same, '--rootfs', host.path('rootfs'))).Measurements).toEqual(whole)
  for (const [before, after] of [
    ['version: "2.1"', 'version: "2.2"'],
    ['memory: 2G', 'memory: 1G'],
    ['8080, ', ''],
    ['stdout: all', 'stdout: ["a"]'],
    ['"warn: ", ', ''],
    ['on-failure', 'always'],
    ['restart: on-failure', 'api: true\nrestart: on-failure'],
  ] as const) {
    const { PCR1, PCR2 } = (await build(WHOLE.replace(before, after))).Measurements
    expect(PCR1, after).toBe(whole['PCR1'])
    expect(PCR2, after).not.toBe(whole['PCR2'])
  }
})

test('without a manifest an image has none, whatever lies in its root file system', async () => {
  writeFileSync(host.path('rootfs/cloister.yaml'), WHOLE)
  const eif = host.path('plain.eif')
  const source = ['--rootfs', host.path('rootfs'), '--entrypoint', '/app']
  await host.json('build', ...source, '--output-file', eif)
  expect(await host.json('describe-eif', '--eif-path', eif)).not.toHaveProperty('Manifest')
})

test('flags win over the manifest, in what is built and in what is started', async () => {
  const { ImageName } = await build(WHOLE, '--name', 'other', '--entrypoint', '/other')
  expect(ImageName).toBe('other')
  await build(WHOLE.replace('memory: 2G', 'memory: 9T').replace('cpus: 2', 'cpus: 64'))
  const run = (...flags: readonly string[]): Promise<CliResult> =>
    host.run('run', '--eif-path', host.path('web.eif'), '--accelerator', 'tcg', ...flags)
  expect((await run()).stderr).toContain('ERR_KEEPER_HOST_MEMORY')
  expect((await run('--memory', '1')).stderr).toContain('ERR_KEEPER_MEMORY')
  expect((await run('--memory', '64')).stderr).toContain('ERR_KEEPER_CPU_COUNT')
})

test('an image gets no more than half of the available memory without a flag, nor more CPUs', async () => {
  const most = String(Math.floor(availableMemoryMib() * 0.75))
  const run = (...flags: readonly string[]): Promise<CliResult> =>
    host.run('run', '--eif-path', host.path('web.eif'), '--accelerator', 'tcg', ...flags)
  await build(WHOLE.replace('memory: 2G', `memory: ${most}`).replace('cpus: 2', 'cpus: 64'))
  const greedy = await run()
  expect(greedy.stderr).toMatch(/ERR_KEEPER_HOST_MEMORY: [^]*manifest[^]*--memory/)
  const allowed = await run('--memory', most)
  expect(allowed.stderr).toMatch(/ERR_KEEPER_CPU_COUNT: [^]*manifest[^]*--cpu-count/)
})

test('the one beside a Dockerfile is found, and can be ignored', async () => {
  mkdirSync(host.path('docker'))
  writeFileSync(host.path('docker/cloister.yaml'), 'cloister: 2\n')
  const build = ['build', '--docker-dir', host.path('docker'), '--output-file', host.path('no.eif')]
  expect((await host.run(...build)).stderr).toMatch(/ERR_MANIFEST_FIELD: .*cloister.yaml:1:1/)
  expect((await host.run(...build, '--no-manifest')).stderr).toContain('ERR_IMAGE_')
})

describe('a problem is reported with line and column', () => {
  test.each([
    ['cloister: 1\nname: web\n', /:1:1: the manifest lacks the key version$/],
    [WHOLE.replace('name: web', 'name: "a b"'), /:3:7: name "a b" is not valid \(name of/],
    [
      WHOLE.replace('"2.1"', '2.1'),
      /:4:10: version is 2.1 but must be a string .*in quotes.*example "2.1"/,
    ],
    [WHOLE.replace('cpus: 2', 'cpus: 0'), /:9:32: resources.cpus is 0 but must be at least 1/],
    [
      WHOLE.replace('cpus: 2', 'cups: 2'),
      /:9:26: resources.cups is an unknown key; .* memory, cpus$/,
    ],
    [WHOLE.replace('5005', '"5005"'), /:10:15: ports.1 is "5005" but must be a whole number/],
    [WHOLE.replace('stdout: all', 'stdout: some'), /:12:11: logs.stdout "some" is not valid/],
    [WHOLE.replace('"warn: "', '"\\e[2J"'), /:13:12: logs.stderr.0 "\\u001b\[2J" is not valid/],
    [WHOLE.replace('on-failure', 'maybe'), /:14:10: restart .*must be one of no, on-failure/],
    [WHOLE.replace('B: two', 'B: 2'), /:8:21: run.env.B is 2 but must be a string/],
    [WHOLE.replace('B: two', '"B=": two'), /:8:18: run.env.B= is not a valid name/],
    [WHOLE.replace('rootfs }', 'rootfs, image: x }'), /:5:9: source must have at most 1 key/],
    [
      'cloister: 1\nname: web\nversion: "1"\nrun: { entrypoint: /app --port 80 }\n',
      /:4:20: run.entrypoint is "\/app --port 80" but must be a list \(.*; for example \["\/app",/,
    ],
    [
      'cloister: 1\nname: web\nversion: "1"\nrun: { cmd: [] }\n',
      /:4:13: run.cmd must not be empty \(further arguments; for example/,
    ],
    [`${WHOLE}egres: {}\n`, /:15:1: egres is an unknown key/],
    [`${WHOLE}__proto__: {}\n`, /:15:1: __proto__ is an unknown key/],
    ['just text', /:1:1: the manifest is "just text" but must be a map/],
  ])('of its fields: %#', (text, message) => {
    expect(problem(text)).toMatchObject({ code: 'ERR_MANIFEST_FIELD', message: matching(message) })
  })

  test.each([
    ['', /:1:1: there is no document/],
    ['a: [1,\nb: 2', /:2:/],
    ['a: 1\na: 2', /:2:1: Map keys must be unique/],
    ['a: &x 1', /:1:4: anchors are not allowed/],
    ['a: *x', /:1:4: aliases are not allowed/],
    ['a: !!binary aa', /:1:4: tags are not allowed/],
    ['%YAML 1.1\n---\na: 1', /:1:1: directives are not allowed/],
    ['a: 1\n---\nb: 1', /: there is more than one document/],
    ['\ta: 1', /:1:1/],
    [Uint8Array.of(0x61, 0x3a, 0x20, 0xff), /:1:1: it is not UTF-8/],
  ])('of its YAML: %#', (text, message) => {
    expect(problem(text)).toMatchObject({ code: 'ERR_MANIFEST_YAML', message: matching(message) })
  })

  test('several at once are all reported, the first one first', async () => {
    const text = WHOLE.replace('cpus: 2', 'cpus: 0').replace('web', '"!"')
    const flags = ['--manifest', write(text), '--output-file', host.path('no.eif')]
    const { status, stderr } = await host.run('build', ...flags)
    expect(status).toBe(3)
    expect(stderr).toMatch(/ERR_MANIFEST_FIELD: .*:3:7: name [^]*:9:32: resources.cpus/)
  })
})

const KIB_64 = 64 * 1024

test.each([
  ['lists', '['.repeat(KIB_64)],
  ['maps', '{a: '.repeat(KIB_64 / 4)],
  ['entries', '- '.repeat(KIB_64 / 2)],
  ['complex keys', '? '.repeat(KIB_64 / 2)],
  ['indentation', Array.from({ length: 350 }, (_, n) => `${' '.repeat(n)}a:`).join('\n')],
  ['anchors', '&a '.repeat(KIB_64 / 3)],
  ['keys', Array.from({ length: 9000 }, (_, n) => `k${String(n)}: `).join('\n')],
  ['equal keys', 'a:\n'.repeat(KIB_64 / 3)],
  ['documents', '---\n'.repeat(KIB_64 / 4)],
  ['escapes', `"${'\\x'.repeat(KIB_64 / 2 - 1)}`],
  ['NULs', '\0'.repeat(KIB_64)],
  ['bytes', ' '.repeat(KIB_64 + 1)],
])('64 KiB of %s are refused', (_, text) => {
  expect(problem(text).code).toMatch(/^ERR_MANIFEST_/)
})

describe('what an image holds of its manifest', () => {
  const measured = measuredPart(validateManifest(Buffer.from(WHOLE), 'cloister.yaml'))
  const decode = (value: unknown): unknown =>
    decodeMeasured(Buffer.from(JSON.stringify({ version: 1, manifest: value })))

  test('is read back as it was written', () => {
    expect(decode(measured)).toEqual(measured)
    expect(decodeMeasured(Buffer.from('{"version":1}'))).toBeUndefined()
  })

  test.each([
    ['text', 'x'],
    ['a missing name', { ...measured, name: undefined }],
    ['a name with a control character', { ...measured, name: 'a\u001b' }],
    ['half a CPU', { ...measured, cpus: 0.5 }],
    ['a port that cannot be', { ...measured, ports: [2 ** 32] }],
    ['a thousand ports', { ...measured, ports: Array.from({ length: 1000 }, (_, n) => n) }],
    ['an unknown stream', { ...measured, logs: { ...measured.logs, stdin: [''] } }],
    ['a prefix that is a number', { ...measured, logs: { stdout: [1], stderr: [] } }],
    ['a long prefix', { ...measured, logs: { stdout: ['x'.repeat(257)], stderr: [] } }],
    ['an unknown key', { ...measured, ingress: [] }],
    ['another rule', { ...measured, restart: 'often' }],
  ])('is refused with %s', (_, value) => {
    expect(() => decode(value)).toThrow(expect.objectContaining({ code: 'ERR_EIF_MANIFEST' }))
  })
})
