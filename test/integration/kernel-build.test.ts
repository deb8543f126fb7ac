// enclave-images/kernel/build.sh with a source that takes a second to build: which sources it takes,
// and what it keeps.

import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

const kernel = resolve(import.meta.dirname, '../../enclave-images/kernel')

/** What build.sh asks of a kernel source; the "kernel" is its configuration. */
const MAKEFILE = `
tinyconfig olddefconfig:
\t@touch .config
bzImage:
\t@mkdir -p arch/x86/boot && cp .config arch/x86/boot/bzImage && cat SUBLEVEL >> arch/x86/boot/bzImage
\t@command -v gcc >> arch/x86/boot/bzImage
vmlinux:
\t@cp /bin/true vmlinux
`
/** The later of two lines about one option counts, as in the kernel's own. */
const MERGE_CONFIG = `#!/bin/sh
shift 2
cat "$@" | tac | awk '{ name = $0; sub(/^# /, "", name); sub(/[= ].*/, "", name) } name == "" || !seen[name]++' |
  tac | grep -E '^CONFIG_.*[^=]$' | grep -v '=n$' > .config
`

let scratch: TemporaryDirectory
let script: string

beforeAll(async () => {
  scratch = await temporaryDirectory()
  cpSync(kernel, join(scratch.path, 'kernel'), { recursive: true })
  for (const name of ['debian', 'toolchain.sh', 'toolchain.lock'])
    cpSync(join(kernel, '..', name), join(scratch.path, name), { recursive: true })
  script = join(scratch.path, 'kernel/build.sh')
})
afterAll(async () => {
  await scratch[Symbol.asyncDispose]()
})

function makeSource(version: string): string {
  const tree = join(scratch.path, version, 'linux-source-6.12')
  mkdirSync(join(tree, 'scripts/kconfig'), { recursive: true })
  writeFileSync(join(tree, 'Makefile'), MAKEFILE)
  writeFileSync(join(tree, 'SUBLEVEL'), version)
  writeFileSync(join(tree, 'scripts/kconfig/merge_config.sh'), MERGE_CONFIG, { mode: 0o755 })
  const archive = join(scratch.path, `${version}.tar.xz`)
  execFileSync('tar', ['-cJf', archive, '-C', join(scratch.path, version), 'linux-source-6.12'])
  return archive
}

function lock(archive: string, version: string): void {
  const hash = createHash('sha256').update(readFileSync(archive)).digest('hex')
  const file = join(scratch.path, 'kernel/kernel.lock')
  const lines = readFileSync(file, 'utf8')
  writeFileSync(file, `source linux-source-6.12 ${version} ${hash}\n${lines}`)
}

function build(flavour: string, env: NodeJS.ProcessEnv): ReturnType<typeof result> {
  const cache = join(scratch.path, 'cache')
  return result(
    spawnSync('bash', [script, flavour], {
      env: { PATH: process.env['PATH'], HOME: scratch.path, XDG_CACHE_HOME: cache, ...env },
      encoding: 'utf8',
    }),
  )
}

function result({ status, stdout, stderr }: ReturnType<typeof spawnSync>): {
  readonly status: number | null
  readonly directory: string
  readonly words: string
} {
  return { status, directory: String(stdout).trim(), words: String(stderr) }
}

function record(directory: string): { readonly locked: boolean; readonly flavour: string } {
  return JSON.parse(readFileSync(join(directory, 'build.json'), 'utf8')) as ReturnType<
    typeof record
  >
}

test('a source that the lock file does not name is refused, and nothing is built', () => {
  const source = makeSource('6.12.900')
  const { status, directory, words } = build('standard', { CLOISTER_KERNEL_SOURCE: source })
  expect({ status, directory }).toEqual({ status: 1, directory: '' })
  // What was found, what is wanted, and how to go on.
  expect(words).toContain(createHash('sha256').update(readFileSync(source)).digest('hex'))
  expect(words).toMatch(/versions in kernel\.lock: 6\.12\./)
  expect(words).toContain('CLOISTER_KERNEL_UNLOCKED=1 npm start')
  expect(cached()).toEqual([])
})

test('it is built when asked for, and its record says so', () => {
  const source = makeSource('6.12.901')
  const env = { CLOISTER_KERNEL_SOURCE: source, CLOISTER_KERNEL_UNLOCKED: '1' }
  const { status, directory, words } = build('standard', env)
  expect(status, words).toBe(0)
  expect(words).toContain('WILL DIFFER')
  expect(record(directory)).toMatchObject({ locked: false, flavour: 'standard' })
})

test('of two lines about one option the later fragment counts', () => {
  const source = makeSource('6.12.902')
  const env = { CLOISTER_KERNEL_SOURCE: source, CLOISTER_KERNEL_UNLOCKED: '1' }
  const config = (flavour: string): string =>
    readFileSync(join(build(flavour, env).directory, 'kernel.config'), 'utf8')
  expect(config('minimal')).not.toContain('CONFIG_BLOCK=y')
  expect(config('minimal')).toContain('CONFIG_LOCALVERSION="-enclave"')
  expect(config('standard')).toContain('CONFIG_BLOCK=y')
  expect(config('standard')).toContain('CONFIG_LOCALVERSION="-enclave-standard"')
})

test('an option that the source does not know ends the build, by its name', () => {
  const source = makeSource('6.12.903')
  const fragment = join(scratch.path, 'kernel/standard.config')
  const before = readFileSync(fragment)
  // The kernel source above drops every line that ends with "=".
  appendFileSync(fragment, 'CONFIG_NO_SUCH_OPTION=\n')
  const env = { CLOISTER_KERNEL_SOURCE: source, CLOISTER_KERNEL_UNLOCKED: '1' }
  const { status, words } = build('standard', env)
  writeFileSync(fragment, before)
  expect(status).toBe(1)
  expect(words).toContain('CONFIG_NO_SUCH_OPTION')
})

test('a kernel of the locked source stays in use after the installed source was updated', () => {
  const source = makeSource('6.12.904')
  lock(source, '6.12.904-1')
  const first = build('minimal', { CLOISTER_KERNEL_SOURCE: source })
  expect(first.status, first.words).toBe(0)
  expect(record(first.directory).locked).toBe(true)
  // Whatever lies in /usr/src is another source.
  expect(build('minimal', {})).toEqual({ status: 0, directory: first.directory, words: '' })
})

test('where other compilers are installed, the locked ones are used from where they are unpacked', () => {
  // What was downloaded before serves here too.
  const shared = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'cloister/debian')
  mkdirSync(shared, { recursive: true })
  mkdirSync(join(scratch.path, 'cache/cloister'), { recursive: true })
  symlinkSync(shared, join(scratch.path, 'cache/cloister/debian'))
  const source = makeSource('6.12.905')
  lock(source, '6.12.905-1')
  const env = { CLOISTER_KERNEL_SOURCE: source, CLOISTER_TOOLCHAIN: 'pinned' }
  const { status, directory, words } = build('standard', env)
  expect(status, words).toBe(0)
  expect(record(directory).locked).toBe(true)
  expect(readFileSync(join(directory, 'bzImage'), 'utf8')).toMatch(/\/debian\/\w+\/tools\/gcc\n$/)
})

test('a flavour that does not exist is a usage error', () => {
  expect(build('huge', {}).status).toBe(64)
})

function cached(): readonly string[] {
  try {
    return readdirSync(join(scratch.path, 'cache/cloister/kernel'))
  } catch {
    return []
  }
}
