// docs/grafana/cloister.json asks for metrics and labels that exist, and for every metric at least once.

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { enclaveMetrics } from '../../src/cli/enclave-metrics.ts'
import { Ends } from '../../src/cli/ends.ts'
import { processMetrics } from '../../src/cli/process-metrics.ts'
import type { Metric } from '../../src/cli/prometheus.ts'
import { proxyMetrics } from '../../src/cli/proxy-metrics.ts'
import type { EnclaveReport } from '../../src/enclaves/index.ts'
import type { ServedPort } from '../../src/proxy/index.ts'
import { runningRecord } from '../fixtures/enclave-record.ts'

const path = resolve(import.meta.dirname, '../../docs/grafana/cloister.json')
const dashboard = JSON.parse(readFileSync(path, 'utf8')) as {
  readonly panels: readonly {
    readonly id: number
    readonly title: string
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[]
  }[]
}
const targets = dashboard.panels.flatMap((panel) => panel.targets)

/** A report in which everything that is counted has been counted. */
const anything = (): never =>
  new Proxy(
    Object.assign(() => 0, {}),
    {
      get: (_, key) => (key === Symbol.toPrimitive ? () => 1 : anything()),
    },
  ) as never

const report: EnclaveReport = {
  ...{ parentPorts: 'none', guestPorts: 'none', connections: 1, bufferedBytes: 1 },
  ...{ counters: anything(), limits: anything() },
  network: {
    ...{ flows: 1, maxFlows: 1, refused: 1, refusals: [], counters: anything() },
    refusedByRule: [{ by: 'image', rule: 'none', count: 1 }],
    arrivals: { open: 1, max: 1, counters: anything() },
  },
  nsm: [{ request: 'GetRandom', results: { Success: 1 }, seconds: 1, buckets: [1] }],
}
const failures = { resolve: 0, denied: 0, connect: 0, limit: 0 }
const port = {
  record: runningRecord('a'),
  target: { localPort: 1, host: 'a', port: 1, family: 'any', maxConnections: 1 },
  statistics: Object.assign({}, anything(), { failures }),
} as unknown as ServedPort

async function ends(): Promise<Metric> {
  const counter = new Ends()
  const end = { first: 'app' as const, reason: '', at: '', livedMs: 0 }
  const event = { time: '', enclaveId: 'a', enclaveName: 'a', event: 'ended' as const, end }
  await counter.count(
    (async function* () {
      yield await Promise.resolve(event)
    })(),
  )
  return counter.metric()
}

async function allMetrics(): Promise<readonly Metric[]> {
  const records = [runningRecord('a')].map((it) => ({ ...it, startedAt: it.createdAt }))
  return [
    ...enclaveMetrics(records, new Map([['a', report]])),
    ...processMetrics(records),
    ...proxyMetrics([port], { done: 0, failed: 0 }),
    await ends(),
  ]
}

/** Labels by the name of each series. */
async function series(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const metrics = await allMetrics()
  const all = metrics.flatMap(({ name, samples }) =>
    samples.map(
      ({ suffix = '', labels }) => [name + suffix, new Set(Object.keys(labels))] as const,
    ),
  )
  expect(metrics.filter(({ samples }) => samples.length === 0)).toEqual([])
  return new Map(all)
}

const namesIn = (expr: string): readonly string[] => expr.match(/\bcloister_\w+/g) ?? []

test('every query is about metrics that exist, and selects and groups by their labels', async () => {
  const known = await series()
  for (const { expr, legendFormat } of targets) {
    for (const name of namesIn(expr)) expect([...known.keys()], expr).toContain(name)
    const labels = namesIn(expr).flatMap((name) => [...(known.get(name) ?? [])])
    const used = [
      ...expr.matchAll(/(\w+)=~?"/g),
      ...[...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => [
        ...list.matchAll(/(\w+)/g),
      ]),
      ...legendFormat.matchAll(/\{\{(\w+)\}\}/g),
    ].map(([, label = '']) => label)
    for (const label of used) expect(labels, `${label} in ${expr}`).toContain(label)
  }
})

test('every metric is shown', async () => {
  const shown = targets.flatMap(({ expr }) => namesIn(expr))
  expect([...(await series()).keys()].filter((name) => !shown.includes(name))).toEqual([])
})

test('panels have ids and titles of their own', () => {
  const { panels } = dashboard
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length)
})
