// The times of an image's files: left out, or kept with `--times keep`, for what goes by them.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeHostTree } from '../fixtures/host-tree.ts'
import { tarOf, writeLayout, type Member } from '../fixtures/image/archive.ts'
import { addShell, inGuest } from '../fixtures/network/guest-shell.ts'
import { TestHost } from '../host.ts'

/** 2001-09-09; nothing else here is as old. */
const OLD = 1_000_000_000
const PYTHON = '/usr/bin/python3'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
  makeRoot(host.path('root'))
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** What two builds of a source have different in their files' times, by path. */
async function timesOf(source: readonly string[]): Promise<Readonly<Record<string, number>>> {
  const root = ['--root', 'cpio', '--entrypoint', '/app']
  for (const rule of ['zero', 'keep']) {
    const output = ['--output-file', host.path(`${rule}.eif`)]
    await host.json('build-enclave', ...source, ...root, '--times', rule, ...output)
  }
  const { stdout } = await host.run('diff-eif', host.path('zero.eif'), host.path('keep.eif'))
  const { ChangedPCRs, Sections } = JSON.parse(stdout) as {
    readonly ChangedPCRs: readonly string[]
    readonly Sections: readonly { readonly Files?: readonly Changed[] }[]
  }
  expect(ChangedPCRs).toEqual(['PCR0', 'PCR2'])
  const changed = Sections.flatMap(({ Files = [] }) => Files)
  return Object.fromEntries(changed.map(({ Path, Mtime }) => [Path, Mtime.B]))
}

interface Changed {
  readonly Path: string
  readonly Mtime: { readonly A: 0; readonly B: number }
}

async function layout(name: string, ...layers: (readonly Member[])[]): Promise<readonly string[]> {
  await writeLayout(host.path(name), { layers: await Promise.all(layers.map(tarOf)) })
  return ['--docker-uri', `oci:${host.path(name)}`]
}

describe('with --times keep', () => {
  test('each file of a layer has its time, in whole seconds from 1970 to 2106', async () => {
    const at = (name: string, time: string): Member => ({ name, pax: { mtime: time } })
    const source = await layout(
      'pax',
      [{ name: 'etc', type: 'directory', mtime: new Date(OLD * 1000) }, at('early', '-1.5')],
      [at('app', '1234567890.987654321'), at('late', '99999999999'), at('etc/later', '2')],
      [{ name: 'link', type: 'symlink', linkname: 'app', mtime: new Date(5000) }],
    )
    expect(await timesOf(source)).toEqual({
      'rootfs/app': 1_234_567_890,
      'rootfs/etc': OLD,
      'rootfs/etc/later': 2,
      'rootfs/late': 0xffff_ffff,
      'rootfs/link': 5,
    })
  })

  test('each file of a directory has its time, and a statement of the build repeats it', async () => {
    const root = host.path('tree')
    mkdirSync(join(root, 'etc'), { recursive: true })
    writeFileSync(join(root, 'app'), '#!/bin/sh\n', { mode: 0o755 })
    for (const [name, time] of [
      ['app', OLD + 0.75],
      ['etc', 7],
      ['.', 8],
    ] as const)
      utimesSync(join(root, name), time, time)
    const source = ['--rootfs', root]
    expect(await timesOf(source)).toEqual({ rootfs: 8, 'rootfs/app': OLD, 'rootfs/etc': 7 })

    const words = ['--entrypoint', '/app', '--times', 'keep', '--output-file', host.path('x.eif')]
    await host.json('build-enclave', ...source, ...words, '--provenance', host.path('x.json'))
    expect(await host.json('reproduce', host.path('x.json'))).toMatchObject({ Reproduced: true })
    utimesSync(join(root, 'app'), OLD + 1, OLD + 1)
    const { status } = await host.run('reproduce', host.path('x.json'))
    expect(status).toBe(1)
  })

  test('a file that a Dockerfile copies has its time', async () => {
    const context = host.path('context')
    mkdirSync(context)
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY app /app\n')
    writeFileSync(join(context, 'app'), '#!/bin/sh\n', { mode: 0o755 })
    utimesSync(join(context, 'app'), OLD, OLD)
    expect(await timesOf(['--docker-dir', context])).toEqual({ 'rootfs/app': OLD })
  })

  test('a layer whose time is not a number is refused', async () => {
    const source = await layout('bad', [{ name: 'app', pax: { mtime: 'noon' } }])
    const output = ['--output-file', host.path('bad.eif')]
    const { stderr } = await host.run('build-enclave', ...source, ...output)
    expect(stderr).toContain('ERR_IMAGE_TAR')
  })
})

/** Debian's Python with its bytecode caches as its package made them, and a volume. */
function makeRoot(root: string): void {
  makeHostTree(root, { programs: ['bash', 'socat', 'stat', 'grep'], files: [PYTHON] })
  const words = ['-c', 'import os; print(os.path.dirname(os.__file__))']
  const library = execFileSync(PYTHON, words, { encoding: 'utf8' }).trim()
  cpSync(library, join(root, library), {
    recursive: true,
    preserveTimestamps: true,
    verbatimSymlinks: true,
    filter: (name) => !/\/(test|idlelib|lib2to3|pydoc_data|config-[^/]*)$/.test(name),
  })
  addShell(root)
  mkdirSync(join(root, 'data/inner'), { recursive: true })
  writeFileSync(join(root, 'data/inner/file'), '')
  for (const name of ['data/inner/file', 'data/inner', 'serve-shell'])
    utimesSync(join(root, name), OLD, OLD)
}

async function inEnclave(script: string, ...build: readonly string[]): Promise<string> {
  const enclave = await host.start(await host.build('times', ...build), '--memory', '512')
  try {
    return await inGuest(enclave.VsockSocket, script)
  } finally {
    await host.run('terminate-enclave', '--enclave-id', enclave.EnclaveID, '--timeout', '0')
  }
}

test.each(['squashfs', 'cpio'])(
  'files have their times in a guest with root %s, in a volume too, and Python takes its caches',
  async (kind) => {
    const manifest = host.path('times.yaml')
    const run = JSON.stringify({ entrypoint: ['/serve-shell'], volumes: ['/data'] })
    writeFileSync(manifest, `cloister: 1\nname: times\nversion: '1'\nports: [5005]\nrun: ${run}\n`)
    const root = host.path('root')
    const source = ['--rootfs', root, '--manifest', manifest, '--root', kind]
    const script = `
      stat -c %Y /serve-shell /data/inner /data/inner/file
      python3 -v -c 'import json' 2>&1 | grep -c 'json/__pycache__/__init__.* matches'`
    expect(await inEnclave(script, ...source, '--times', 'keep')).toBe(
      `${`${String(OLD)}\n`.repeat(3)}1\n`,
    )
  },
)
