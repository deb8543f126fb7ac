// The metrics of enclaves' networks; enclaves without one have no samples.

import type { NetworkReport } from '../network/index.ts'
import type { ReportMetric, Value } from './report-metric.ts'

export const networkMetrics: readonly ReportMetric[] = [
  metric('flows', 'gauge', 'Open flows of the network.', ({ flows }) => [[flows]]),
  metric('flows_limit', 'gauge', 'How many flows may be open at once.', ({ maxFlows }) => [
    [maxFlows],
  ]),
  metric(
    'flows_opened_total',
    'counter',
    'Flows that were allowed, by protocol.',
    ({ counters }) => [
      [counters.tcpFlows, { protocol: 'tcp' }],
      [counters.udpFlows, { protocol: 'udp' }],
    ],
  ),
  metric('lookups_total', 'counter', 'Questions that were asked of resolvers.', ({ counters }) => [
    [counters.lookups],
  ]),
  metric('flows_failed_total', 'counter', 'Allowed flows without a connection.', ({ counters }) => [
    [counters.failed, { reason: 'unreachable' }],
    [counters.tooMany, { reason: 'limit' }],
  ]),
  metric('refused_total', 'counter', 'Flows and questions that a policy denied.', (report) => [
    [report.refused],
  ]),
  metric('bytes_total', 'counter', 'Bytes passed on, by direction.', ({ counters }) => [
    [counters.bytesToGuest, { direction: 'to_guest' }],
    [counters.bytesFromGuest, { direction: 'from_guest' }],
  ]),
]

function metric(
  name: string,
  type: ReportMetric['type'],
  help: string,
  values: (report: NetworkReport) => readonly Value[],
): ReportMetric {
  return {
    ...{ name, type, help },
    values: ({ network }) => (network === undefined ? [] : values(network)),
  }
}
