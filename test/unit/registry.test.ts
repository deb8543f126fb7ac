import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  Registry,
  writeRecord,
  type RunningRecord,
  type StartingRecord,
} from '../../src/enclaves/index.ts'
import { Names } from '../../src/enclaves/names.ts'
import { identifyProcess, isRunning, type ProcessIdentity } from '../../src/subprocess/index.ts'
import { buildToolkit } from '../fixtures/built-toolkit.ts'
import { ourselves, runningRecord, startingRecord } from '../fixtures/enclave-record.ts'

vi.mock('../../src/subprocess/index.ts', { spy: true })

let runtime: string
let registry: Registry

beforeEach(() => {
  runtime = mkdtempSync(join(tmpdir(), 'cloister-registry-'))
  registry = new Registry(runtime)
})

afterEach(() => {
  rmSync(runtime, { recursive: true, force: true })
})

const dead: ProcessIdentity = { pid: process.pid, startTime: 1 }

function add(id: string, changes: Partial<RunningRecord> = {}): RunningRecord {
  const { description } = registry.claim(startingRecord(id))
  const record = { ...runningRecord(id), description, ...changes }
  writeRecord(registry.directory(id), record)
  return record
}

test('a name in use gets a suffix, and is free again after the end', () => {
  const first = add('i-1')
  expect(add('i-2').description.name).toBe('app_1')
  expect(add('i-3').description.name).toBe('app_2')
  registry.finish(first, { at: '2026-01-01T00:00:00Z', first: 'app', reason: '', livedMs: 1 })
  expect(add('i-4').description.name).toBe('app')
})

test('a successor gets the name and the CID, and nobody else in between', () => {
  const first = add('i-1')
  const next = { ...startingRecord('i-2'), description: first.description }
  registry.succeed(first, next)
  expect(add('i-3').description.name).toBe('app_1')
  registry.finish(first, { at: '2026-01-01T00:00:00Z', first: 'app', reason: '', livedMs: 1 })
  expect(add('i-4').description.name).toBe('app_2')
  expect(registry.find('app').id).toBe('i-2')
  registry.remove(next)
  expect(add('i-5').description).toMatchObject({ name: 'app' })
})

test('a successor of an enclave that has lost its name is none', () => {
  const first = add('i-1')
  registry.remove(first)
  const next = { ...startingRecord('i-2'), description: first.description }
  expect(() => {
    registry.succeed(first, next)
  }).toThrow(expect.objectContaining({ code: 'ENOENT' }) as Error)
  expect(existsSync(registry.directory('i-2'))).toBe(false)
})

test('a CID belongs to one enclave until that ends', () => {
  const wanted = (id: string): RunningRecord => {
    const { description, ...record } = runningRecord(id)
    return { ...record, description: { ...description, cid: 16 } }
  }
  const starting = (id: string): StartingRecord => ({ ...wanted(id), state: 'STARTING' })
  const first = registry.claim(starting('i-1'))
  expect(() => registry.claim(starting('i-2'))).toThrow(
    expect.objectContaining({ code: 'ERR_KEEPER_CID', details: { cid: 16 } }) as Error,
  )
  expect(existsSync(registry.directory('i-2'))).toBe(false)
  expect(readdirSync(join(runtime, 'names'))).toEqual(['app'])
  registry.finish(first, { at: '2026-01-01T00:00:00Z', first: 'app', reason: '', livedMs: 1 })
  expect(registry.claim(starting('i-3')).description.cid).toBe(16)
  expect(add('i-4').description.cid).not.toBe(add('i-5').description.cid)
})

test('of processes that want one CID at the same moment one gets it', async () => {
  await buildToolkit()
  const script = `
    const [door, runtime, text] = process.argv.slice(1)
    const { Registry } = await import(door)
    const record = JSON.parse(text)
    process.stdin.once('data', () => {
      try { new Registry(runtime).claim(record); console.log('taken') }
      catch (error) { console.log(error.code) }
      process.stdin.once('end', () => process.exit())
    })
    console.log('ready')`
  const door = new URL('../../dist/enclaves/index.js', import.meta.url).href
  const claims = [1, 2, 3, 4].map((n) => {
    const { description, ...record } = startingRecord(`i-${String(n)}`)
    const text = JSON.stringify({ ...record, description: { ...description, cid: 16 } })
    const argv = ['--input-type=module', '-e', script, door, runtime, text]
    const child = spawn(process.execPath, argv, { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    return { child, next: async () => (await lines.next()).value as string }
  })
  await Promise.all(claims.map(({ next }) => next()))
  for (const { child } of claims) child.stdin.write('go')
  const told = await Promise.all(claims.map(({ next }) => next()))
  for (const { child } of claims) child.stdin.end()
  const refused = 'ERR_KEEPER_CID'
  expect(told.toSorted()).toEqual([refused, refused, refused, 'taken'])
})

test('an enclave whose keeper was killed is told as ended, and nothing of it is left', () => {
  const { id } = add('i-1', { keeper: dead })
  writeFileSync(join(registry.directory(id), 'keeper.sock'), '')
  registry.settle()
  expect(registry.list()).toMatchObject([{ id, state: 'TERMINATED', end: { first: 'keeper' } }])
  expect(readdirSync(registry.directory(id))).toEqual(['record.json'])
})

test('an end that a keeper records just before it exits is the one that is told', () => {
  const record = add('i-1')
  const end = { at: '2026-01-01T00:00:00Z', first: 'app', reason: '', livedMs: 1 } as const
  vi.mocked(isRunning).mockImplementationOnce(() => {
    registry.finish(record, end)
    return false
  })
  expect(registry.list()).toMatchObject([{ id: 'i-1', state: 'TERMINATED', end }])
})

test('children that outlived a killed keeper are killed, others with the same pid are not', async () => {
  const child = spawn('sleep', ['60'])
  const identity = identifyProcess(child.pid ?? -1)
  if (identity === undefined) throw new Error('sleep does not run')
  const stranger = { ...ourselves(), startTime: 7 }
  const processes = [
    { ...identity, name: 'QEMU' },
    { ...stranger, name: 'swtpm' },
  ] as const
  add('i-1', { keeper: dead, processes })
  const ended = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)))
  registry.settle()
  expect(await ended).toBe('SIGKILL')
  expect(isRunning(ourselves())).toBe(true)
})

test('an enclave is found by id and by name, a running one before an ended one', () => {
  const old = add('i-1')
  registry.finish(old, { at: '2026-01-01T00:00:00Z', first: 'app', reason: '', livedMs: 1 })
  expect(registry.find('app').id).toBe('i-1')
  add('i-2')
  expect(registry.find('app').id).toBe('i-2')
  expect(registry.find('i-1', 'id').state).toBe('TERMINATED')
  expect(() => registry.find('app', 'id')).toThrow(
    expect.objectContaining({ code: 'ERR_KEEPER_NO_SUCH_ENCLAVE' }) as Error,
  )
  expect(() => registry.find('i-1', 'name')).toThrow(
    expect.objectContaining({ code: 'ERR_KEEPER_NO_SUCH_NAME' }) as Error,
  )
  expect(() => registry.find('nobody')).toThrow(
    expect.objectContaining({ code: 'ERR_KEEPER_NO_SUCH_ENCLAVE' }) as Error,
  )
})

test('only the newest ended enclaves are remembered', () => {
  for (let n = 0; n < 25; n++) {
    const at = new Date(n * 1000).toISOString()
    registry.finish(add(`i-${String(n)}`), { at, first: 'app', reason: '', livedMs: 1 })
  }
  const ids = registry.list().map(({ id }) => id)
  expect(ids).toHaveLength(20)
  expect(ids).toContain('i-24')
  expect(ids).not.toContain('i-4')
})

test('a directory that never got a record is removed once its maker is gone', () => {
  const directory = registry.directory('i-half')
  mkdirSync(directory)
  registry.settle()
  expect(registry.list()).toEqual([])
  expect(existsSync(directory)).toBe(true)
  const later = Date.now() + 120_000
  registry.settle(later)
  expect(existsSync(directory)).toBe(false)
})

test.each([
  ['garbage', 'not json'],
  ['truncated', '{"version":2,"id":"i-2"'],
  ['empty', ''],
  ['of another enclave', JSON.stringify({ version: 2, id: '../..' })],
  ['of a later version', JSON.stringify({ version: 3, id: 'i-2' })],
  ['null', 'null'],
])('a record that is %s hides no other enclave, and is named', (_, text) => {
  add('i-1')
  add('i-2')
  add('i-3')
  writeFileSync(join(registry.directory('i-2'), 'record.json'), text)
  // Those of one millisecond are as the file system lists them.
  expect(
    registry
      .list()
      .map(({ id }) => id)
      .toSorted(),
  ).toEqual(['i-1', 'i-3'])
  expect(registry.damaged()).toMatchObject([{ code: 'ERR_KEEPER_RECORD' }])
  expect(() => registry.find('i-2')).toThrow(
    expect.objectContaining({ code: 'ERR_KEEPER_RECORD' }) as Error,
  )
  expect(add('i-4').description.name).toBe('app_3')
})

test('a name whose keeper was killed while it took it is free again', () => {
  const { id } = add('i-1', { keeper: dead })
  new Names(join(runtime, 'names')).reserve(['app_1'], id, join(runtime, 'staging'))
  registry.settle()
  expect(readdirSync(join(runtime, 'names'))).toEqual([])
})

test('an end that cannot be written is told all the same', () => {
  const { id } = add('i-1', { keeper: dead })
  // A directory in the record's way: what a full or read-only disk does, done to root too.
  const directory = registry.directory(id)
  mkdirSync(join(directory, `record.json.${String(process.pid)}`, 'full'), { recursive: true })
  registry.settle()
  expect(registry.list()).toMatchObject([{ id, state: 'TERMINATED', end: { first: 'keeper' } }])
})

test('a name that another enclave took meanwhile stays its own', () => {
  const names = new Names(join(runtime, 'names'))
  const staging = join(runtime, 'staging')
  expect(names.reserve(['app'], 'i-1', staging)).toBe('app')
  // One reader has begun to release the name of the dead enclave, and is held up.
  rmSync(join(runtime, 'names', 'app', 'i-1'))
  expect(names.reserve(['app'], 'i-2', staging)).toBe('app')
  // It goes on, and another reader that saw the same dead enclave does the same.
  names.release('app', 'i-1')
  names.release('app', 'i-1')
  expect(names.list()).toEqual([{ name: 'app', id: 'i-2' }])
  expect(names.reserve(['app', 'app_1'], 'i-3', staging)).toBe('app_1')
  expect(existsSync(staging)).toBe(false)
})

test('a name whose release was cut short is free again', () => {
  mkdirSync(join(runtime, 'names', 'app'))
  registry.settle()
  expect(registry.list()).toEqual([])
  expect(readdirSync(join(runtime, 'names'))).toEqual([])
})
