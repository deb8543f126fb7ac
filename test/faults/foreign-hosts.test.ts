// Hosts that are not ours alone, or short of something: coded errors, and nothing is left.

import {
  chmodSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { resultOf, TestHost, type CliResult } from '../host.ts'

const repository = resolve(import.meta.dirname, '../..')
const cli = join(repository, 'bundle/cli/main.js')
const STRANGER = 61234

let host: TestHost
let eif: string
/** Everybody may enter it. */
let shared: string

beforeAll(async () => {
  host = new TestHost()
  eif = await host.build('hello')
  shared = mkdtempSync(join(tmpdir(), 'cloister-shared-'))
  chmodSync(shared, 0o777)
})

afterAll(async () => {
  rmSync(shared, { recursive: true, force: true })
  await host[Symbol.asyncDispose]()
})

/** Runs a shell script with directories of our own choice and `$RUN` as the command that starts. */
function script(text: string, env: Readonly<Record<string, string>> = {}): Promise<CliResult> {
  const RUN = `'${process.execPath}' '${cli}' run-enclave --eif-path '${eif}' --memory 128`
  const directories = { CLOISTER_STATE_DIR: host.state, CLOISTER_RUNTIME_DIR: host.runtime }
  const options = { env: { ...process.env, ...directories, RUN, ...env } }
  return resultOf(['bash', '-c', text], options)
}

async function refused(result: Promise<CliResult>, code: string): Promise<void> {
  const { stdout, stderr } = await result
  expect(stderr).toContain(code)
  expect(stderr).toMatch(/What to do: \S/)
  expect(stdout).toBe('')
  expect(host.leftovers()).toEqual([])
  expect(await host.list('--all')).toEqual([])
}

test('a runtime directory whose sockets would have too long a path is refused with the variable to set', async () => {
  const long = join(shared, 'x'.repeat(90))
  const result = script('eval "$RUN"', { CLOISTER_RUNTIME_DIR: long })
  await refused(result, 'ERR_VSOCK_PATH')
  expect((await result).stderr).toContain('CLOISTER_RUNTIME_DIR')
})

test('a runtime directory of another user, or that others can enter, is refused', async () => {
  const foreign = join(shared, 'foreign')
  mkdirSync(foreign, { mode: 0o700 })
  lchownSync(foreign, STRANGER, STRANGER)
  await refused(script('eval "$RUN"', { CLOISTER_RUNTIME_DIR: foreign }), 'ERR_KEEPER_DIRECTORY')
  await refused(script('eval "$RUN"', { CLOISTER_RUNTIME_DIR: shared }), 'ERR_KEEPER_DIRECTORY')
})

test('a symbolic link that another user put there is not followed, one of our own is', async () => {
  const ours = join(shared, 'ours')
  mkdirSync(ours, { mode: 0o700 })
  const link = join(shared, 'link')
  symlinkSync(ours, link)
  const list = `'${process.execPath}' '${cli}' list`
  expect(await script(list, { CLOISTER_RUNTIME_DIR: link })).toMatchObject({ status: 0 })
  lchownSync(link, STRANGER, STRANGER)
  const result = await script(list, { CLOISTER_RUNTIME_DIR: link })
  expect(result).toMatchObject({ status: 18, stdout: '' })
})

test('a file system too small for the image is told, and nothing is left on it', async () => {
  const small = join(shared, 'small')
  mkdirSync(small, { mode: 0o700 })
  const text = `mount -t tmpfs -o size=4m,mode=0700 none '${small}' && eval "$RUN"; status=$?
    find '${small}' -type f | wc -l >&2; exit $status`
  const command = `unshare --mount bash -c "$TEXT"`
  const result = await script(command, { TEXT: text, CLOISTER_RUNTIME_DIR: small })
  expect(result).toMatchObject({ status: 39, stdout: '' })
  expect(result.stderr).toContain('ERR_KEEPER_DIRECTORY')
  expect(result.stderr.trim().split('\n').at(-1)).toBe('0')
})

test('a file system that is full before anything is written is told', async () => {
  const full = join(shared, 'full')
  mkdirSync(full, { mode: 0o700 })
  const text = `mount -t tmpfs -o size=16k,mode=0700 none '${full}' && mkdir -m 700 '${full}/r' &&
    cat /dev/zero > '${full}/fill' 2>/dev/null; eval "$RUN"`
  const result = await script(`unshare --mount bash -c "$TEXT"`, {
    TEXT: text,
    CLOISTER_RUNTIME_DIR: join(full, 'r'),
  })
  expect(result).toMatchObject({ status: 39, stdout: '' })
})

test.each([
  ['QEMU', { CLOISTER_QEMU: '/no/such/qemu' }],
  ['QEMU that is no program', { CLOISTER_QEMU: '/etc/passwd' }],
  ['vsock card', { CLOISTER_VSOCK_CARD: '/no/such/device' }],
  ['vsock card that is no program', { CLOISTER_VSOCK_CARD: '/etc/passwd' }],
])('a missing %s is told with what to do', async (_, env) => {
  const result = script('eval "$RUN"', env)
  await refused(result, 'ERR_PROCESS_SPAWN')
  expect(await result).toMatchObject({ status: 39 })
})

test.each(['swtpm', 'setpriv'])(
  'a %s that cannot be executed is told with what to do',
  async (program) => {
    const text = `mount --bind /dev/null "$(command -v ${program})" && eval "$RUN"`
    const result = script(`unshare --mount bash -c "$TEXT"`, { TEXT: text })
    await refused(result, 'ERR_PROCESS_SPAWN')
    expect(await result).toMatchObject({ status: 39 })
  },
)

test('root of a user namespace, who has no other users, runs enclaves as himself', async () => {
  const directory = join(shared, 'n')
  const env = {
    CLOISTER_STATE_DIR: join(directory, 's'),
    CLOISTER_RUNTIME_DIR: join(directory, 'r'),
    CLI: `'${process.execPath}' '${cli}'`,
  }
  const text = 'eval "$RUN" && eval "$CLI stop --all --timeout 0"'
  const result = await script(`unshare --user --map-root-user bash -c '${text}'`, env)
  expect(result.status, result.stderr).toBe(0)
  expect(existsSync(join(directory, 'r', 'names'))).toBe(true)
})
