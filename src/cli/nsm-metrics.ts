// The metrics of NSM requests: how many, with which result, and how long they took.

import type { EnclaveRecord, EnclaveReport } from '../enclaves/index.ts'
import { LATENCY_BOUNDS_SECONDS, type RequestStatistics } from '../nsm/index.ts'
import type { Metric, Sample } from './prometheus.ts'

/** Of enclaves that reported them. */
export function nsmMetrics(
  records: readonly EnclaveRecord[],
  reports: ReadonlyMap<string, EnclaveReport>,
): readonly Metric[] {
  const all = records.flatMap((record) =>
    (reports.get(record.id)?.nsm ?? []).map((request) => ({
      request,
      labels: {
        enclave_id: record.id,
        enclave_name: record.description.name,
        request: request.request,
      },
    })),
  )
  return [
    {
      name: 'cloister_nsm_requests_total',
      type: 'counter',
      help: 'Requests to the NSM, by result: Success, or the error.',
      samples: all.flatMap(({ request, labels }) =>
        Object.entries(request.results).map(([result, value]) => ({
          labels: { ...labels, result },
          value,
        })),
      ),
    },
    {
      name: 'cloister_nsm_request_seconds',
      type: 'histogram',
      help: 'How long NSM requests took from their arrival to their answer, waiting included.',
      samples: all.flatMap(({ request, labels }) => histogram(request, labels)),
    },
  ]
}

/** Buckets of a histogram count what is at most their bound. */
function histogram(
  { buckets, seconds }: RequestStatistics,
  labels: Sample['labels'],
): readonly Sample[] {
  const bounds = [...LATENCY_BOUNDS_SECONDS.map(String), '+Inf']
  let count = 0
  const cumulated = bounds.map((le, index) => {
    count += buckets[index] ?? 0
    return { suffix: '_bucket' as const, labels: { ...labels, le }, value: count }
  })
  return [
    ...cumulated,
    { suffix: '_sum', labels, value: seconds },
    { suffix: '_count', labels, value: count },
  ]
}
