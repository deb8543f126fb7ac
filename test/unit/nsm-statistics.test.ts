// What an NSM was asked, as metrics and for people.

import { expect, test } from 'vitest'
import { enclaveMetrics } from '../../src/cli/enclave-metrics.ts'
import { nsmJson } from '../../src/cli/nsm-json.ts'
import { exposition, openMetrics } from '../../src/cli/prometheus.ts'
import type { EnclaveReport } from '../../src/enclaves/index.ts'
import { LATENCY_BOUNDS_SECONDS } from '../../src/nsm/index.ts'
import { RequestCounter } from '../../src/nsm/statistics.ts'
import { runningRecord } from '../fixtures/enclave-record.ts'
import { parseExposition } from '../fixtures/exposition.ts'

function counted(): RequestCounter {
  const counter = new RequestCounter()
  for (const seconds of [0.001, 0.002, 0.002, 20]) counter.count('Attestation', 'Success', seconds)
  counter.count('ExtendPCR', 'ReadOnlyIndex', 0.0005)
  return counter
}

const report = { nsm: counted().statistics } as unknown as EnclaveReport
const counters = {} as EnclaveReport['counters']
const limits = {} as EnclaveReport['limits']
const metrics = enclaveMetrics(
  [runningRecord('a')],
  new Map([['a', { ...report, counters, limits }]]),
).filter(({ name }) => name.startsWith('cloister_nsm_'))

test('a histogram counts at each bound what took at most that long, and everything at +Inf', () => {
  const [, histogram] = parseExposition(exposition(metrics))
  const own = { enclave_id: 'a', enclave_name: 'app', request: 'Attestation' }
  const of = (suffix: string, labels: object): unknown =>
    histogram?.samples.find(
      (sample) =>
        sample.suffix === suffix && JSON.stringify(sample.labels) === JSON.stringify(labels),
    )?.value
  expect(of('_bucket', { ...own, le: '0.001' })).toBe(1)
  expect(of('_bucket', { ...own, le: '0.0025' })).toBe(3)
  expect(of('_bucket', { ...own, le: '10' })).toBe(3)
  expect(of('_bucket', { ...own, le: '+Inf' })).toBe(4)
  expect(of('_count', own)).toBe(4)
  expect(of('_sum', own)).toBeCloseTo(20.005)
  expect(openMetrics(metrics)).toContain('# TYPE cloister_nsm_request_seconds histogram\n')
})

test('results are counted by request', () => {
  const [results] = parseExposition(exposition(metrics))
  expect(
    results?.samples.map(({ labels, value }) => [labels['request'], labels['result'], value]),
  ).toEqual([
    ['Attestation', 'Success', 4],
    ['ExtendPCR', 'ReadOnlyIndex', 1],
  ])
})

test('quantiles for people are bounds of the histogram, and unknown beyond the last', () => {
  expect(counted().statistics.map(nsmJson)).toMatchObject([
    { Request: 'Attestation', MedianBelowMs: 2.5, P99BelowMs: null },
    { Request: 'ExtendPCR', Results: { ReadOnlyIndex: 1 }, MedianBelowMs: 1, P99BelowMs: 1 },
  ])
})

test('what is held does not grow with the requests, and a copy does not change', () => {
  const counter = counted()
  const before = counter.statistics
  for (let n = 0; n < 1_000_000; n++) counter.count('GetRandom', 'Success', n)
  expect(before.map(({ request }) => request)).toEqual(['Attestation', 'ExtendPCR'])
  expect(counter.statistics).toHaveLength(3)
  expect(counter.statistics[2]?.buckets).toHaveLength(LATENCY_BOUNDS_SECONDS.length + 1)
})
