// The metrics of vsock-proxy: what goes through each port of each enclave.

import { describeServer, type ServedPort } from '../proxy/index.ts'
import type { Metric, Sample } from './prometheus.ts'

/** How often the configuration was read again. */
export interface Reloads {
  done: number
  failed: number
}

type Statistics = ServedPort['statistics']
type Values = (statistics: Statistics) => readonly (readonly [number, Sample['labels']?])[]

const portMetrics: readonly (readonly [string, Metric['type'], string, Values])[] = [
  ['connections', 'gauge', 'Open connections.', (it) => [[it.connections]]],
  ['connections_waiting', 'gauge', 'Connections that wait for their turn.', (it) => [[it.waiting]]],
  ['connections_total', 'counter', 'Connections of guests.', (it) => [[it.accepted]]],
  [
    'failures_total',
    'counter',
    'Connections that were not made: name not found, denied by the allowlist, no answer, or too many.',
    ({ failures }) => Object.entries(failures).map(([reason, count]) => [count, { reason }]),
  ],
  [
    'bytes_total',
    'counter',
    'Bytes passed on, by direction.',
    ({ bytesIn, bytesOut }) => [
      [bytesIn, { direction: 'from_guest' }],
      [bytesOut, { direction: 'to_guest' }],
    ],
  ],
]

export function proxyMetrics(
  ports: readonly ServedPort[],
  reloads: Readonly<Reloads>,
): readonly Metric[] {
  return [
    ...portMetrics.map(([name, type, help, values]) => ({
      name: `cloister_proxy_${name}`,
      type,
      help,
      samples: ports.flatMap((port) =>
        values(port.statistics).map(([value, labels = {}]) => ({
          labels: { ...labelsOf(port), ...labels },
          value,
        })),
      ),
    })),
    {
      name: 'cloister_proxy_reloads_total',
      type: 'counter',
      help: 'How often SIGHUP asked for the configuration to be read again, by result.',
      samples: Object.entries(reloads).map(([result, value]) => ({ labels: { result }, value })),
    },
  ]
}

function labelsOf({ record, target }: ServedPort): Sample['labels'] {
  return {
    enclave_id: record.id,
    enclave_name: record.description.name,
    local_port: String(target.localPort),
    server: describeServer(target),
  }
}
