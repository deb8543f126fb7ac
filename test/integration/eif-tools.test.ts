// The commands that look into an image: diff-eif, extract-eif, lint-eif, and build-enclave --dry-run.

import { execFileSync } from 'node:child_process'
import { gzipSync } from 'node:zlib'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { readEif } from '../../src/eif/index.ts'
import { sourceOfBytes } from '../../src/files/index.ts'
import { archiveOf } from '../fixtures/eif/cpio.ts'
import { assemble, goldenBytes, hex, mendCrc, patch, withField } from '../fixtures/eif/golden.ts'
import { tarOf, writeLayout } from '../fixtures/image/archive.ts'
import { writeToBytes } from '../fixtures/eif/write-to-bytes.ts'
import { helloRootfs, TestHost, type CliResult } from '../host.ts'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
})

afterAll(() => {
  host.discard()
})

const kernel = new Uint8Array(1024)
kernel.set(Buffer.from('HdrS'), 0x202)

async function image(
  name: string,
  files: Readonly<Record<string, string>>,
  { cmdline = 'reboot=t', isPacked = false } = {},
): Promise<string> {
  const { metadata } = await readEif(sourceOfBytes(goldenBytes))
  const entries = Object.entries(files).map(([file, text]) => ({
    name: file,
    bytes: Buffer.from(text),
  }))
  const app = archiveOf(entries)
  const ramdisks = [
    archiveOf([{ name: 'init', bytes: Buffer.from('#!') }]),
    isPacked ? gzipSync(app) : app,
  ]
  const { bytes } = await writeToBytes({
    architecture: 'x86_64',
    kernel,
    cmdline,
    metadata,
    ramdisks,
  })
  writeFileSync(host.path(name), bytes)
  return host.path(name)
}

describe('diff-eif', () => {
  const files = { 'rootfs/a': 'one', 'rootfs/b': 'two' }

  async function diff(a: string, b: string): Promise<{ status: number; json: object }> {
    const { status, stdout, stderr } = await host.run('diff-eif', a, b)
    expect(stderr).toBe('')
    return { status, json: JSON.parse(stdout) as object }
  }

  test('names the files, whatever packs the ramdisk, and the PCRs that they move', async () => {
    const a = await image('a.eif', files)
    const b = await image('b.eif', { 'rootfs/b': 'six', 'rootfs/ü': '' }, { isPacked: true })
    const { status, json } = await diff(a, b)
    expect(status).toBe(1)
    expect(json).toMatchObject({ Identical: false, ChangedPCRs: ['PCR0', 'PCR2'] })
    const [section, ...others] = (json as { Sections: { Files: object[] }[] }).Sections
    expect(others).toEqual([])
    expect(section).toMatchObject({ Type: 'ramdisk', Index: 1, MeasuredInto: ['PCR0', 'PCR2'] })
    expect(section?.Files).toEqual([
      { Path: 'rootfs/a', Change: 'removed' },
      {
        ...{ Path: 'rootfs/b', Change: 'changed' },
        SHA384: { A: expect.any(String) as string, B: expect.any(String) as string },
      },
      { Path: 'rootfs/ü', Change: 'added' },
    ])
  })

  test('tells a command line and a header that differ from an image that does not', async () => {
    const a = await image('a.eif', files)
    const other = await diff(a, await image('b.eif', files, { cmdline: 'reboot=k' }))
    expect(other).toMatchObject({
      status: 1,
      json: {
        ChangedPCRs: ['PCR0', 'PCR1'],
        Sections: [{ Type: 'cmdline', MeasuredInto: ['PCR0', 'PCR1'] }],
      },
    })
    writeFileSync(host.path('c.eif'), withField(0x17, 9))
    writeFileSync(host.path('golden.eif'), goldenBytes)
    const header = await diff(host.path('c.eif'), host.path('golden.eif'))
    expect(header).toMatchObject({ status: 1, json: { HeaderChanged: true, Sections: [] } })
    expect(await diff(a, a)).toMatchObject({ status: 0, json: { Identical: true, Sections: [] } })
  })

  test('has another status for a file that is not an image', async () => {
    const a = await image('a.eif', files)
    expect(await host.run('diff-eif', a, helloRootfs)).toMatchObject({ status: 35, stdout: '' })
    expect(await host.run('diff-eif', a, '/etc/passwd')).toMatchObject({ status: 35, stdout: '' })
  })
})

describe('diff-eif of default images', () => {
  test('names the files of their compressed root file systems that differ', async () => {
    const root = (name: string): string => host.path(`${name}-root`)
    const build = async (name: string, contents: string): Promise<string> => {
      mkdirSync(`${root(name)}/etc`, { recursive: true })
      writeFileSync(`${root(name)}/app`, '#!/bin/sh\n', { mode: 0o755 })
      writeFileSync(`${root(name)}/etc/settings`, contents)
      writeFileSync(`${root(name)}/etc/same`, 'the same')
      return host.build(name, '--rootfs', root(name), '--entrypoint', '/app', '--name', 'x')
    }
    const [a, b] = [await build('left', 'one'), await build('right', 'other')]
    const { status, stdout } = await host.run('diff-eif', a, b)
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      ChangedPCRs: ['PCR0', 'PCR2'],
      RootFiles: [{ Path: 'etc/settings', Change: 'changed', Size: { A: 3, B: 5 } }],
    })
  })
})

describe('extract-eif', () => {
  test('writes each section as it is in the image', async () => {
    const path = await image('a.eif', { 'rootfs/a': 'one' })
    mkdirSync(host.path('parts'))
    await host.json('extract-eif', '--eif-path', path, '--output-dir', host.path('parts'))
    const bytes = readFileSync(path)
    const { sections } = await readEif(sourceOfBytes(new Uint8Array(bytes)))
    const names = ['kernel', 'cmdline', 'metadata.json', 'ramdisk0', 'ramdisk1']
    expect(readdirSync(host.path('parts'))).toEqual([...names].sort())
    for (const [index, { offset, size }] of sections.entries()) {
      const part = readFileSync(host.path(`parts/${names[index] ?? ''}`))
      expect(hex(part)).toBe(hex(bytes.subarray(offset, offset + size)))
    }
    const list = execFileSync('cpio', ['-t', '--quiet'], {
      input: readFileSync(host.path('parts/ramdisk1')),
    })
    expect(list.toString()).toBe('rootfs/a\n')
  })

  test('writes the root file system of a default image, which unsquashfs reads', async () => {
    const path = await host.build('squashfs', '--rootfs', helloRootfs, '--entrypoint', '/hello')
    const to = host.path('default')
    const { Files } = await host.json<{ readonly Files: readonly string[] }>(
      ...['extract-eif', '--eif-path', path, '--output-dir', to],
    )
    expect(Files).toContain('rootfs.squashfs')
    const list = execFileSync('unsquashfs', ['-l', `${to}/rootfs.squashfs`], { encoding: 'utf8' })
    expect(list).toContain('squashfs-root/hello\n')
    execFileSync('unsquashfs', ['-q', '-n', '-d', `${to}/root`, `${to}/rootfs.squashfs`, 'hello'])
    const [hello, original] = [`${to}/root/hello`, `${helloRootfs}/hello`].map((it) =>
      readFileSync(it),
    )
    expect(hello?.equals(original ?? Buffer.alloc(0))).toBe(true)
  })

  test('leaves nothing of an invalid image, and a full directory alone', async () => {
    const broken = mendCrc(goldenBytes.slice(0, -1))
    writeFileSync(host.path('broken.eif'), broken)
    const before = readdirSync(host.directory)
    const flags = (eif: string, to: string): string[] => [
      ...['extract-eif', '--eif-path', host.path(eif), '--output-dir', host.path(to)],
    ]
    expect(await host.run(...flags('broken.eif', 'new'))).toMatchObject({ status: 35, stdout: '' })
    expect(await host.run(...flags('golden.eif', '.'))).toMatchObject({ status: 19, stdout: '' })
    expect(await host.run(...flags('golden.eif', 'no/new'))).toMatchObject({
      status: 19,
      stdout: '',
    })
    expect(readdirSync(host.directory)).toEqual(before)
  })
})

describe('lint-eif', () => {
  interface Lint {
    readonly Errors: number
    readonly Findings: readonly { Rule: string; Level: string; Platforms: string[] }[]
  }

  async function lint(bytes: Uint8Array, ...flags: string[]): Promise<CliResult & { json: Lint }> {
    writeFileSync(host.path('lint.eif'), bytes)
    const result = await host.run('lint-eif', '--eif-path', host.path('lint.eif'), ...flags)
    return { ...result, json: JSON.parse(result.stdout) as Lint }
  }

  test('has nothing to say of an image that is good everywhere', async () => {
    const bytes = readFileSync(await image('a.eif', { 'rootfs/a': 'one' }))
    expect(await lint(bytes)).toMatchObject({ status: 0, json: { Errors: 0, Findings: [] } })
  })

  test.each<readonly [string, string, readonly string[], Uint8Array]>([
    ['version 5', 'version', ['cloister'], withField(4, 0, 5)],
    ['aarch64', 'architecture', ['qemu'], withField(6, 0, 1)],
    ['a wrong CRC', 'crc', ['aws', 'qemu', 'cloister'], patch(goldenBytes, 0x220, [0])],
    ['a trailing byte', 'trailing-bytes', ['aws', 'cloister'], Uint8Array.of(...goldenBytes, 0)],
    ['no metadata', 'section-missing', ['aws', 'cloister'], assemble([0, 1, 3, 4])],
    ['two kernels', 'section-repeated', ['aws', 'qemu', 'cloister'], assemble([0, 1, 2, 3, 0])],
    ['an empty ramdisk', 'ramdisk-empty', ['qemu'], assemble([0, 1, 2, 3, 4], {}, 4)],
    ['a kernel that is not bzImage', 'kernel-format', ['aws', 'qemu'], goldenBytes],
    ['a cut file', 'truncated', ['aws', 'qemu', 'cloister'], goldenBytes.slice(0, 900)],
    ['an empty file', 'header-length', ['aws', 'qemu', 'cloister'], new Uint8Array()],
  ])('names %s: %s', async (_, rule, platforms, bytes) => {
    const { status, json } = await lint(bytes)
    expect(status).toBe(1)
    expect(json.Findings).toContainEqual(
      expect.objectContaining({ Rule: rule, Level: 'error', Platforms: platforms }),
    )
  })

  test('counts the rules of the platforms that are asked for alone', async () => {
    const vector = new URL('../vectors/eif-aws/resigned.eif', import.meta.url)
    const bytes = new Uint8Array(readFileSync(vector))
    expect((await lint(bytes)).json.Findings.map(({ Rule }) => Rule)).toContain('signature-size')
    expect(await lint(bytes, '--platform', 'cloister')).toMatchObject({ status: 0 })
  })
})

describe('build-enclave', () => {
  interface Built {
    readonly Measurements: Readonly<Record<string, string>>
  }
  const hello = ['build-enclave', '--rootfs', helloRootfs, '--entrypoint', '/hello', '--quiet']

  test('--dry-run prints the PCRs of the file that it does not write', async () => {
    const make = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -days 2 \
      -subj /CN=signer -keyout key.pem -out signer.pem`
    expect((await host.shell(make)).status).toBe(0)
    const before = readdirSync(host.directory)
    const certificate = ['--signing-certificate', host.path('signer.pem')]
    const dry = await host.json<Built>(...hello, '--dry-run', ...certificate)
    expect(readdirSync(host.directory)).toEqual(before)
    const key = ['--private-key', host.path('key.pem'), '--output-file', host.path('out.eif')]
    expect(await host.json<Built>(...hello, ...certificate, ...key)).toEqual(dry)
    expect(Object.keys(dry.Measurements)).toContain('PCR8')
  })

  test("fills DockerInfo as docker image inspect does, and keeps the metadata's numbers", async () => {
    await writeLayout(host.path('layout'), { layers: [await tarOf([{ name: 'app', data: 'x' }])] })
    writeFileSync(host.path('meta.json'), '{"two":2.0,"big":9007199254740993}')
    const build = ['--docker-uri', `oci:${host.path('layout')}`, '--entrypoint', '/app', '--quiet']
    const labels = ['--name', 'web', '--metadata', host.path('meta.json')]
    const output = ['--output-file', host.path('out.eif')]
    await host.json('build-enclave', ...build, ...labels, ...output)
    const { stdout } = await host.run('describe-eif', '--eif-path', host.path('out.eif'))
    expect(stdout).toMatch(/"big": 9007199254740993,\n\s+"two": 2\.0\n/)
    const { Metadata } = JSON.parse(stdout) as { Metadata: { DockerInfo: object } }
    expect(Metadata.DockerInfo).toMatchObject({
      Architecture: 'amd64',
      Os: 'linux',
      RepoTags: ['web:latest'],
      Id: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
      Config: { Entrypoint: ['/app'], User: '', WorkingDir: '' },
      RootFS: { Type: 'layers', Layers: [expect.stringMatching(/^sha256:/) as string] },
    })
  })
})
