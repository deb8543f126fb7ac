// Which metrics there are, and where in a report each value comes from.

import type { EnclaveRecord, EnclaveReport } from '../enclaves/index.ts'
import { networkMetrics } from './network-metrics.ts'
import { nsmMetrics } from './nsm-metrics.ts'
import type { ReportMetric } from './report-metric.ts'
import type { Metric, Sample } from './prometheus.ts'

const vsockMetrics: readonly ReportMetric[] = [
  {
    name: 'connections',
    type: 'gauge',
    help: 'Open vsock connections.',
    values: ({ connections }) => [[connections]],
  },
  {
    name: 'connections_limit',
    type: 'gauge',
    help: 'Maximum number of open vsock connections.',
    values: ({ limits }) => [[limits.connections]],
  },
  {
    name: 'buffered_bytes',
    type: 'gauge',
    help: 'Bytes buffered for slow readers on the host.',
    values: ({ bufferedBytes }) => [[bufferedBytes]],
  },
  {
    name: 'connections_opened_total',
    type: 'counter',
    help: 'Vsock connections opened, by the side that opened them.',
    values: ({ counters }) => [
      [counters.openedByGuest, { dialled_by: 'guest' }],
      [counters.openedByHost, { dialled_by: 'host' }],
    ],
  },
  {
    name: 'connections_refused_total',
    type: 'counter',
    help: 'Vsock connections refused: the port is closed, nothing listens on it, or a limit is reached.',
    values: ({ counters }) => [
      [counters.refusedByPolicy, { reason: 'closed' }],
      [counters.refusedWithoutListener, { reason: 'unserved' }],
      [counters.refusedByLimit, { reason: 'limit' }],
    ],
  },
  {
    name: 'bytes_total',
    type: 'counter',
    help: 'Bytes transferred, by direction.',
    values: ({ counters }) => [
      [counters.bytesToGuest, { direction: 'to_guest' }],
      [counters.bytesToHost, { direction: 'to_host' }],
    ],
  },
  {
    name: 'packets_total',
    type: 'counter',
    help: 'Vsock packets, by direction.',
    values: ({ counters }) => [
      [counters.packetsToGuest, { direction: 'to_guest' }],
      [counters.packetsFromGuest, { direction: 'to_host' }],
    ],
  },
  {
    name: 'bad_packets_total',
    type: 'counter',
    help: 'Packets from the guest that are malformed or violate the protocol.',
    values: ({ counters }) => [
      [counters.malformed, { reason: 'malformed' }],
      [counters.violations, { reason: 'violation' }],
    ],
  },
  {
    name: 'resets_dropped_total',
    type: 'counter',
    help: 'Resets dropped because the guest had no room for them.',
    values: ({ counters }) => [[counters.droppedResets]],
  },
]

const all: readonly ReportMetric[] = [
  ...vsockMetrics.map((metric) => ({ ...metric, name: `vsock_${metric.name}` })),
  ...networkMetrics.map((metric) => ({ ...metric, name: `network_${metric.name}` })),
]

/** Of enclaves that have not ended. `reports` are by id; one that is missing was not to be had. */
export function enclaveMetrics(
  records: readonly EnclaveRecord[],
  reports: ReadonlyMap<string, EnclaveReport>,
): readonly Metric[] {
  return [
    {
      name: 'cloister_enclave_info',
      type: 'gauge',
      help: 'An enclave that has not ended; always 1.',
      samples: records.map((record) => ({
        labels: {
          ...identity(record),
          state: record.state,
          mode: record.description.debug ? 'debug' : 'production',
          assurance: 'assurance' in record ? (record.assurance ?? '') : '',
          accelerator: record.description.accelerator,
        },
        value: 1,
      })),
    },
    {
      name: 'cloister_enclave_start_seconds',
      type: 'gauge',
      help: 'How long the enclave took from its request until its app ran.',
      samples: records.flatMap((record) => {
        const startedAt = 'startedAt' in record ? record.startedAt : undefined
        if (startedAt === undefined) return []
        const value = (Date.parse(startedAt) - Date.parse(record.createdAt)) / 1000
        return [{ labels: identity(record), value }]
      }),
    },
    {
      name: 'cloister_enclave_restarts',
      type: 'gauge',
      help: 'How often the enclave was started again by its restart rule.',
      samples: records.map((record) => ({
        labels: identity(record),
        value: record.restart?.count ?? 0,
      })),
    },
    {
      name: 'cloister_vsock_up',
      type: 'gauge',
      help: 'Whether the enclave reported its vsock status.',
      samples: records.map((record) => ({
        labels: identity(record),
        value: reports.has(record.id) ? 1 : 0,
      })),
    },
    ...all.map(({ name, type, help, values }) => ({
      name: `cloister_${name}`,
      type,
      help,
      samples: records.flatMap((record) => samplesOf(record, reports.get(record.id), values)),
    })),
    ...nsmMetrics(records, reports),
  ]
}

function samplesOf(
  record: EnclaveRecord,
  report: EnclaveReport | undefined,
  values: ReportMetric['values'],
): readonly Sample[] {
  if (report === undefined) return []
  return values(report).map(([value, labels = {}]) => ({
    labels: { ...identity(record), ...labels },
    value,
  }))
}

function identity({ id, description }: EnclaveRecord): Sample['labels'] {
  return { enclave_id: id, enclave_name: description.name }
}
