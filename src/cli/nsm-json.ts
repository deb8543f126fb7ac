// What an NSM was asked, for people: counts by result, and how long requests took.

import { LATENCY_BOUNDS_SECONDS, type RequestStatistics } from '../nsm/index.ts'

type Json = Readonly<Record<string, unknown>>

/** Quantiles are upper bounds, as fine as the histogram is; a `null` is beyond its last bound. */
export function nsmJson({ request, results, seconds, buckets }: RequestStatistics): Json {
  const count = buckets.reduce((sum, bucket) => sum + bucket, 0)
  return {
    Request: request,
    Results: results,
    MeanMs: Math.round((seconds / count) * 1e6) / 1e3,
    MedianBelowMs: quantileMs(buckets, count * 0.5),
    P99BelowMs: quantileMs(buckets, count * 0.99),
  }
}

function quantileMs(buckets: readonly number[], rank: number): number | null {
  let count = 0
  const index = buckets.findIndex((bucket) => (count += bucket) >= rank)
  const bound = LATENCY_BOUNDS_SECONDS[index]
  return bound === undefined ? null : bound * 1000
}
