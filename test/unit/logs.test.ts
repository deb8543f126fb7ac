// Lines that may leave an enclave: from the agent's messages to what `cloister logs` prints.

import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cborMap, encodeCbor } from '../../src/cbor.ts'
import { encodeLogEntry, type LogEntry } from '../../src/enclaves/index.ts'
import { Journal } from '../../src/keeper/journal.ts'
import { LogChannel, parseLogMessage } from '../../src/keeper/guest/log-channel.ts'
import { LogFile } from '../../src/keeper/guest/log-file.ts'
import { encodeFrame } from '../../src/vsock/index.ts'
import { EchoEnclave } from '../fixtures/echo-enclave.ts'
import { once } from '../fixtures/once.ts'
import { makeScratch } from '../fixtures/temporary-directory.ts'
import { TestHost } from '../host.ts'

const time = '2026-01-31T12:00:00.000Z'
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))

type Fields = Parameters<typeof cborMap>[0]
const message = (fields: Fields): Uint8Array => encodeCbor(cborMap(fields))
const lineOf = (stream: string, text: string): Uint8Array =>
  message({ stream, line: bytes(text), cut: 0 })

describe('of what the agent sends', () => {
  /** Begins to serve; what is kept is added to `kept`. */
  async function begin(kept: LogEntry[], frames: readonly Uint8Array[]): Promise<LogChannel> {
    const declared = { stdout: ['audit: ', 'ready'], stderr: [] }
    const sink = { write: (entry: LogEntry) => kept.push(entry) }
    const channel = new LogChannel(declared, sink, new Journal(await makeScratch()))
    const socket = new PassThrough()
    socket.end(Buffer.concat(frames.map(encodeFrame)))
    void channel.serve(socket as unknown as Socket)
    return channel
  }

  test('only lines that the manifest lets leave are kept, whatever the agent thinks', async () => {
    const kept: LogEntry[] = []
    const channel = await begin(kept, [
      lineOf('stdout', 'audit: one'),
      lineOf('stdout', 'secret'),
      lineOf('stdout', ' audit: two'),
      lineOf('stderr', 'audit: three'),
      lineOf('stdout', 'ready'),
      message({ dropped: 7 }),
    ])
    await channel.drained()
    expect(kept).toMatchObject([{ line: 'audit: one' }, { line: 'ready' }, { dropped: 7 }])
  })

  test('a flood is read no faster than the limit', async () => {
    const flood = Array.from({ length: 2000 }, () => lineOf('stdout', `audit: ${'x'.repeat(500)}`))
    const kept: LogEntry[] = []
    await begin(kept, flood)
    await expect.poll(() => kept.length).toBeGreaterThan(0)
    // 512 KiB at once, and never more than that at a time.
    expect(kept.length).toBeLessThan(1800)
    await expect.poll(() => kept.length).toBe(2000)
  })

  test.each([
    ['an unknown stream', message({ stream: 'stdin', line: bytes('x'), cut: 0 })],
    ['text for bytes', message({ stream: 'stdout', line: 'x', cut: 0 })],
    ['a long line', message({ stream: 'stdout', line: new Uint8Array(2049), cut: 0 })],
    ['a negative count', message({ dropped: -1 })],
    ['a key too many', message({ dropped: 1, line: bytes('x') })],
    ['a missing key', message({ stream: 'stdout', line: bytes('x') })],
    ['noise', Uint8Array.of(0xff)],
  ])('%s is refused', (_, frame) => {
    expect(() => parseLogMessage(frame)).toThrow(
      expect.objectContaining({ code: 'ERR_KEEPER_AGENT' }),
    )
  })
})

test('a log takes 2 MiB of the disk at most, and its end is kept', async () => {
  const directory = await makeScratch()
  await using file = new LogFile(directory)
  const line = 'x'.repeat(1000)
  for (let n = 0; n < 5000; n++)
    file.write({ time, stream: 'stdout', line: `${String(n)} ${line}` })
  const sizes = ['log.jsonl', 'log.1.jsonl'].map((name) => statSync(join(directory, name)).size)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(1024 * 1024)
  expect(readFileSync(join(directory, 'log.jsonl'), 'utf8')).toContain('"4999 x')
})

describe('cloister logs', () => {
  let host: TestHost
  let enclave: EchoEnclave

  beforeEach(async () => {
    host = new TestHost()
    enclave = await EchoEnclave.start(host.runtime)
  })

  afterEach(async () => {
    await enclave[Symbol.asyncDispose]()
    host.discard()
  })

  const path = (name: string): string => join(enclave.vsock, '..', name)
  const entries = (...lines: readonly string[]): string =>
    lines.map((line) => encodeLogEntry({ time, stream: 'stdout', line })).join('')
  const logs = (...flags: readonly string[]) => host.run('logs', '--enclave-name', 'echo', ...flags)

  test('prints the older file first, without power over the terminal', async () => {
    writeFileSync(path('log.1.jsonl'), entries('one'))
    writeFileSync(path('log.jsonl'), `${entries('\u001b[2J\ntwo\u202e')}{"torn\n`)
    const last: LogEntry = { time, stream: 'stderr', line: 'x', cut: 9 }
    writeFileSync(path('log.jsonl'), encodeLogEntry(last) + encodeLogEntry({ time, dropped: 3 }), {
      flag: 'a',
    })
    const { status, stdout } = await logs()
    expect(status).toBe(0)
    expect(stdout.split('\n')).toEqual([
      `${time} stdout one`,
      `${time} stdout \\u001b[2J\\u000atwo\\u202e`,
      `${time} stderr x -- 9 bytes were cut --`,
      `${time} -- 3 lines were dropped --`,
      '',
    ])
    const json = (await logs('--json')).stdout.trimEnd().split('\n')
    expect(json.map((line) => JSON.parse(line) as LogEntry)).toHaveLength(4)
    expect(json[3]).toBe(`{"time":"${time}","dropped":3}`)
  })

  test('leaves out what came before --since', async () => {
    const now = encodeLogEntry({ time: new Date().toISOString(), stream: 'stdout', line: 'new' })
    writeFileSync(path('log.jsonl'), entries('old') + now)
    for (const since of ['10m', '2026-01-31T12:00:01Z'])
      expect((await logs('--since', since)).stdout).toMatch(/^\S+ stdout new\n$/)
    expect((await logs('--since', 'yesterday')).stderr).toContain('ERR_CLI_ARGUMENT')
  })

  test('follows what comes, past a new file, until the enclave ends', async () => {
    writeFileSync(path('log.jsonl'), '')
    const file = new LogFile(join(enclave.vsock, '..'))
    const following = host.spawn('logs', '--enclave-name', 'echo', '--follow')
    let stdout = ''
    following.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    const line = 'x'.repeat(1000)
    for (let n = 0; n < 1500; n++)
      file.write({ time, stream: 'stdout', line: `${String(n)} ${line}` })
    await file[Symbol.asyncDispose]()
    expect(existsSync(path('log.1.jsonl'))).toBe(true)
    await expect.poll(() => stdout).toContain(' 1499 x')
    writeFileSync(path('log.jsonl'), entries('the last'), { flag: 'a' })
    await expect.poll(() => stdout).toContain('the last')
    writeFileSync(path('record.json'), '{')
    await once(following, 'close')
    const numbers = Array.from(stdout.matchAll(/ stdout (\d+) x/g), ([, number]) => Number(number))
    expect(numbers).toEqual(Array.from({ length: 1500 }, (_, n) => n))
    expect(stdout.trimEnd().split('\n').at(-1)).toBe(`${time} stdout the last`)
  })

  test('says that an enclave has none', async () => {
    expect((await logs()).stderr).toContain(
      'ERR_KEEPER_NO_LOGS: the manifest of echo declares no log',
    )
  })
})
