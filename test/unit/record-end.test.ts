// Whatever cannot be written at an enclave's end, the rest of the end still happens.

import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  Registry,
  writeRecord,
  type EndCause,
  type RunningRecord,
} from '../../src/enclaves/index.ts'
import { ConsoleLog } from '../../src/keeper/guest/console-log.ts'
import { Journal } from '../../src/keeper/journal.ts'
import { recordEnd } from '../../src/keeper/record-end.ts'
import { readRecord } from '../../src/enclaves/record.ts'
import { runningRecord } from '../fixtures/enclave-record.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

let runtime: TemporaryDirectory
let registry: Registry
let running: RunningRecord

beforeEach(async () => {
  runtime = await temporaryDirectory()
  registry = new Registry(runtime.path)
  running = runningRecord('i-1')
  registry.claim({ ...running, state: 'STARTING' })
  writeRecord(registry.directory('i-1'), running)
})

afterEach(async () => {
  await runtime[Symbol.asyncDispose]()
})

const inDirectory = (file: string): string => runtime.join('enclaves', 'i-1', file)

async function end(dispose = (): Promise<void> => Promise.resolve()): Promise<string> {
  const console = new ConsoleLog(new PassThrough())
  const logged = (): Promise<void> => Promise.resolve()
  const enclave = { console, logged, peakMemoryBytes: 5000, [Symbol.asyncDispose]: dispose }
  const cause: EndCause = { first: 'app', reason: 'the app exited with status 7', exitCode: 7 }
  const journal = new Journal(registry.directory('i-1'))
  await recordEnd({ registry, journal, running, cause, enclave, succeed: logged })
  const path = inDirectory('journal.log')
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

const ended = {
  state: 'TERMINATED',
  end: { first: 'app', exitCode: 7, peakMemoryBytes: 5000 },
}

test('an enclave ends, and nobody has anything to say about it', async () => {
  expect(await end()).toBe('')
  expect(readRecord(registry.directory('i-1'))).toMatchObject(ended)
})

test('a console that cannot be saved does not cost the record', async () => {
  mkdirSync(inDirectory('console.log'))
  expect(await end()).toContain('cannot save the console')
  expect(readRecord(registry.directory('i-1'))).toMatchObject(ended)
})

test('a part that cannot be ended does not cost the record', async () => {
  const journal = await end(() => Promise.reject(new Error('it stays')))
  expect(journal).toContain('it stays')
  expect(readRecord(registry.directory('i-1'))).toMatchObject(ended)
})

test('a record that cannot be written leaves its cause in the journal and the console saved', async () => {
  mkdirSync(inDirectory(`record.json.${String(process.pid)}`))
  expect(await end()).toContain('the app exited with status 7')
  expect(existsSync(inDirectory('console.log'))).toBe(true)
  expect(readRecord(registry.directory('i-1'))).toMatchObject({ state: 'RUNNING' })
  expect(readdirSync(runtime.join('names'))).toEqual([])
})
