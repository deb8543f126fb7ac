// enclave-images/debian/tree.sh: only what a lock file names is unpacked, and what a mirror no longer has is named.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

const script = resolve(import.meta.dirname, '../../enclave-images/debian/tree.sh')
/** Small, and without dependencies. */
const PACKAGE = 'media-types'

let scratch: TemporaryDirectory
let locked: string

beforeAll(async () => {
  scratch = await temporaryDirectory()
  const file = lockFile(`suite bookworm\nwant ${PACKAGE}\n`)
  const { status, stderr } = tree('--renew', file)
  expect(status, stderr).toBe(0)
  locked = readFileSync(file, 'utf8')
})
afterAll(async () => {
  await scratch[Symbol.asyncDispose]()
})

function lockFile(text: string): string {
  const file = join(scratch.path, 'packages.lock')
  writeFileSync(file, text)
  return file
}

function tree(...args: readonly string[]): {
  status: number | null
  stdout: string
  stderr: string
} {
  const env = { ...process.env, XDG_CACHE_HOME: scratch.path }
  return spawnSync('bash', [script, ...args], { env, encoding: 'utf8' })
}

function kept(): readonly string[] {
  const names = readdirSync(join(scratch.path, 'cloister/debian'))
  return names.filter((name) => !name.endsWith('.lock'))
}

test('a lock file names each package by version and hash, and its tree is kept', () => {
  expect(locked).toMatch(/^package media-types \S+ [0-9a-f]{64}$/m)
  const { status, stdout, stderr } = tree(lockFile(locked))
  expect(status, stderr).toBe(0)
  expect(existsSync(join(stdout.trim(), 'etc/mime.types'))).toBe(true)
  expect(kept()).toHaveLength(1)
})

test('a version that the mirror does not have is named, with the one that it has', () => {
  const version = /^package \S+ (\S+)/m.exec(locked)?.[1] ?? ''
  const { status, stdout, stderr } = tree(lockFile(locked.replace(version, '0.1-1')))
  expect({ status, stdout }).toEqual({ status: 3, stdout: '' })
  expect(stderr).toContain(`media-types: locked 0.1-1, the mirror has ${version}`)
  expect(stderr).toContain('--renew')
})

test('a package with other contents is not unpacked', () => {
  const { status, stdout } = tree(lockFile(locked.replace(/[0-9a-f]{64}/, 'a'.repeat(64))))
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(kept()).toHaveLength(1)
})
