// The table of `cloister top`: rates from two looks, and nothing that a name could do to a terminal.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { topTable, type EnclaveLook } from '../../src/cli/top-table.ts'
import type { EnclaveReport } from '../../src/enclaves/index.ts'
import { EchoEnclave } from '../fixtures/echo-enclave.ts'
import { TestHost } from '../host.ts'

function look(fields: Partial<EnclaveLook> = {}): EnclaveLook {
  return {
    ...{ id: 'a', name: 'web', state: 'RUNNING', ageMs: 185_000, memoryMib: 512 },
    ...{ usedBytes: 200 * 2 ** 20, cpuSeconds: 10 },
    ...fields,
  }
}

function report(bytes: number, requests: number): EnclaveReport {
  const counters = { bytesToGuest: bytes, bytesToHost: 2 * bytes, refusedByPolicy: 3 }
  const nsm = [{ request: 'GetRandom', results: {}, seconds: 0, buckets: [requests, 0] }]
  return {
    counters,
    connections: 7,
    nsm,
    network: { flows: 5, refused: 4 },
  } as unknown as EnclaveReport
}

const words = (line = ''): readonly string[] => line.trim().split(/\s{2,}/)

test('rates are what has changed since the look before', () => {
  const before = { atMs: 1000, enclaves: [look({ report: report(0, 10) })] }
  const now = { atMs: 3000, enclaves: [look({ cpuSeconds: 11, report: report(4096, 13) })] }
  const [heading, line] = topTable(before, now)
  expect(
    Object.fromEntries(words(heading).map((name, index) => [name, words(line)[index]])),
  ).toEqual({
    ...{ NAME: 'web', STATE: 'RUNNING', UP: '3m05s', CPU: '50%', MEMORY: '200M/512M' },
    ...{ CONN: '7', 'IN/s': '2.0K', 'OUT/s': '4.0K', 'NSM/s': '1.5', FLOWS: '5', REFUSED: '7' },
  })
})

test('what is not known, or new, is a dash', () => {
  const table = topTable({ atMs: 0, enclaves: [] }, { atMs: 1000, enclaves: [look()] })
  expect(words(table[1]).slice(3)).toEqual(['-', '200M/512M', '-', '-', '-', '-', '-', '-'])
})

test('lines are as wide as the terminal at most, and long names are shortened', () => {
  const looks = { atMs: 1000, enclaves: [look({ name: 'x'.repeat(200) })] }
  expect(topTable(looks, looks, 40).every((line) => line.length <= 40)).toBe(true)
  expect(topTable({ atMs: 0, enclaves: [] }, { atMs: 1, enclaves: [] })).toEqual([
    'No enclave is running.',
  ])
})

let host: TestHost
let enclave: EchoEnclave

beforeAll(async () => {
  host = new TestHost()
  enclave = await EchoEnclave.start(host.runtime, { name: 'a\x1b]0;b' })
})

afterAll(async () => {
  await enclave[Symbol.asyncDispose]()
  host.discard()
})

test('without a terminal the table is printed once, without control characters', async () => {
  const { status, stdout } = await host.run('top', '--interval', '1')
  expect(status).toBe(0)
  expect(stdout).toMatch(/^NAME +STATE .*\na\?\]0;b +RUNNING /)
})

test('on a terminal it is drawn on a screen of its own, and q gives the terminal back', async () => {
  const cloister = `'${process.execPath}' '${host.cli}'`
  // The key comes once the table is there; script writes it at once with -f.
  const script = `mkfifo keys; exec 3<>keys
    TERM=xterm script -qefc "stty rows 20 cols 100; ${cloister} top --interval 1; echo left" typescript <&3 >/dev/null &
    until grep -q RUNNING typescript; do sleep 0.1; done
    printf q >&3; wait $!; cat typescript`
  const { stdout } = await host.shell(script)
  expect(stdout).toContain('\x1b[?1049h')
  expect(stdout.replaceAll('\r', '')).toMatch(/\x1b\[\?1049lleft\n/)
})
