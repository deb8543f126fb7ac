// `scripts/setup.sh --missing`, which an example runs first, in a tree of its own: what it tries to make.

import { execFile } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

const SET_UP = resolve(import.meta.dirname, '../../scripts/setup.sh')
const PARTS = [
  ...['node_modules/.package-lock.json', 'dist/index.js'],
  ...['bundle/cli/main.js', 'bundle/keeper/main.js'],
  ...['bzImage', 'init', 'companion', 'cmdline'].map((name) => `build/blobs/${name}`),
  ...['build/hello/rootfs/hello', 'build/signer/rootfs/signer'],
  ...['vsock', 'nsm', 'network', 'parent', 'squashfs'].map((name) => `build/bin/cloister-${name}`),
]

let tree: TemporaryDirectory

beforeEach(async () => {
  tree = await temporaryDirectory()
  for (const part of PARTS) place(part, '')
  mkdirSync(tree.join('scripts'))
  copyFileSync(SET_UP, tree.join('scripts/setup.sh'))
  place('scripts/bundle.mjs', "console.error('ran: bundle')")
  place('enclave-images/build.sh', 'echo ran: guest parts')
  // Debian's packages are all there.
  for (const name of ['npx', 'cargo']) program(name, `echo "ran: ${name} $*" >&2; exit 9`)
  program('npm', 'echo "ran: npm $*" >&2')
  program('dpkg-query', 'printf installed')
})
afterEach(() => tree[Symbol.asyncDispose]())

function place(path: string, text: string): void {
  mkdirSync(dirname(tree.join(path)), { recursive: true })
  writeFileSync(tree.join(path), text)
}

function program(name: string, line: string): void {
  place(`bin/${name}`, `#!/bin/sh\n${line}\n`)
  chmodSync(tree.join('bin', name), 0o755)
}

function setUp(): Promise<{ status: unknown; stderr: string }> {
  const path = `${tree.join('bin')}:${dirname(process.execPath)}:/usr/bin:/bin`
  const env = { PATH: path, HOME: tree.join('home') }
  const words = [tree.join('scripts/setup.sh'), '--missing']
  return new Promise((done) => {
    execFile('bash', words, { env }, (error, _, stderr) => {
      done({ status: error?.code ?? 0, stderr })
    })
  })
}

test('nothing is installed or built where all is there, and that is said', async () => {
  // Older than its source, which is no reason.
  place('package-lock.json', '{}')
  rmSync(tree.join('bin/cargo'))
  const { status, stderr } = await setUp()
  expect(status).toBe(0)
  expect(stderr).toMatch(/^setup: everything is there; .*\n$/)
})

test.each([
  ['node_modules/.package-lock.json', 'npm ci', 0],
  ['build/signer/rootfs/signer', 'guest parts', 0],
  ['build/bin/cloister-nsm', 'cargo build', 9],
  ['dist/index.js', 'npx --no-install tsc -b', 9],
  ['bundle/keeper/main.js', 'bundle', 0],
])('only %s is made where it is missing, and named', async (part, ran, status) => {
  rmSync(tree.join(part))
  const result = await setUp()
  expect(result.status).toBe(status)
  const lines = result.stderr.split('\n')
  expect(lines.filter((line) => line.startsWith('ran: '))).toEqual([
    expect.stringMatching(`^ran: ${ran}`),
  ])
  expect(lines.filter((line) => line.includes('is missing'))[0]).toContain(`(${part} is missing)`)
})

test('a download that was cut is tried twice more', async () => {
  program('npm', 'echo >>"$HOME/tries"; [ "$(wc -l <"$HOME/tries")" -eq 3 ]')
  rmSync(tree.join('node_modules/.package-lock.json'))
  expect((await setUp()).status).toBe(0)
  program('npm', 'exit 9')
  rmSync(tree.join('node_modules/.package-lock.json'))
  expect((await setUp()).status).toBe(9)
})

test('the example of a signer sets up what is missing alone', () => {
  const text = readFileSync(resolve(SET_UP, '../../package.json'), 'utf8')
  const { scripts } = JSON.parse(text) as { readonly scripts: Readonly<Record<string, string>> }
  expect(scripts['example:signer']).toMatch(/^bash scripts\/setup\.sh --missing && /)
})
