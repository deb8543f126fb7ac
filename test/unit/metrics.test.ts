// The text that Prometheus reads.

import { expect, test } from 'vitest'
import { enclaveMetrics } from '../../src/cli/enclave-metrics.ts'
import { exposition, openMetrics } from '../../src/cli/prometheus.ts'
import type { VsockReport } from '../../src/vsock/index.ts'
import { runningRecord as record } from '../fixtures/enclave-record.ts'
import { parseExposition } from '../fixtures/exposition.ts'

const counters = {
  ...{ packetsFromGuest: 101, packetsToGuest: 102, bytesToHost: 103, bytesToGuest: 104 },
  ...{ openedByGuest: 105, openedByHost: 106, refusedByPolicy: 107, refusedWithoutListener: 108 },
  ...{ refusedByLimit: 109, malformed: 110, violations: 111, droppedResets: 112 },
}
const report: VsockReport = {
  ...{ parentPorts: '9000-9002', guestPorts: 'none', connections: 13, bufferedBytes: 14, counters },
  limits: { connections: 2048, connectionsPerSecond: 4096, bufferBytes: 1 },
}

test('every counter of the card is there once, with who, why and whither as labels', () => {
  const text = exposition(enclaveMetrics([record('a')], new Map([['a', report]])))
  const values = parseExposition(text).flatMap(({ samples }) => samples.map(({ value }) => value))
  for (const value of [...Object.values(counters), 13, 14, 2048])
    expect(
      values.filter((found) => found === value),
      String(value),
    ).toHaveLength(1)
})

test('an enclave that does not tell is there and down', () => {
  const text = exposition(enclaveMetrics([record('a'), record('b')], new Map([['b', report]])))
  const families = parseExposition(text)
  const up = families.find(({ name }) => name === 'cloister_vsock_up')?.samples
  expect(up).toMatchObject([
    { labels: { enclave_id: 'a' }, value: 0 },
    { labels: { enclave_id: 'b' }, value: 1 },
  ])
  const open = families.find(({ name }) => name === 'cloister_vsock_connections')?.samples
  expect(open).toMatchObject([{ labels: { enclave_id: 'b' }, value: 13 }])
})

test('no enclave at all is still a valid text', () => {
  expect(parseExposition(exposition(enclaveMetrics([], new Map())))).toHaveLength(27)
})

test('in OpenMetrics, where a counter has its name without _total, no two families have one name', () => {
  const text = openMetrics(enclaveMetrics([record('a')], new Map([['a', report]])))
  const names = Array.from(text.matchAll(/^# TYPE (\S+) /gm), ([, name]) => name)
  expect(new Set(names).size).toBe(names.length)
  expect(text.endsWith('\n# EOF\n')).toBe(true)
})

test('a name cannot break out of its label', () => {
  const name = 'a"} 1\ncloister_evil{x="\\'
  const [info] = parseExposition(exposition(enclaveMetrics([record('a', name)], new Map())))
  expect(info?.samples).toMatchObject([{ labels: { enclave_name: name } }])
})
