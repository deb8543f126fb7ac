// The metrics of enclaves' networks; enclaves without one have no samples.

import type { ArrivalsReport, NetworkReport } from '../network/index.ts'
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
  metric(
    'refused_total',
    'counter',
    'Flows and questions that a policy denied, by whose it is and the rule that decided.',
    ({ refusedByRule }) => refusedByRule.map(({ count, by, rule }) => [count, { by, rule }]),
  ),
  metric('bytes_total', 'counter', 'Bytes passed on, by direction.', ({ counters }) => [
    [counters.bytesToGuest, { direction: 'to_guest' }],
    [counters.bytesFromGuest, { direction: 'from_guest' }],
  ]),
  metric(
    'clients_connected',
    'gauge',
    'Clients of published ports, now.',
    arrivals(({ open }) => [[open]]),
  ),
  metric(
    'clients_limit',
    'gauge',
    'How many clients there may be at once.',
    arrivals(({ max }) => [[max]]),
  ),
  metric(
    'clients_total',
    'counter',
    'Clients that the guest took, by protocol.',
    arrivals(({ counters }) => [
      [counters.tcp, { protocol: 'tcp' }],
      [counters.udp, { protocol: 'udp' }],
    ]),
  ),
  metric(
    'clients_turned_away_total',
    'counter',
    'Clients that the guest did not take, or beyond the limit.',
    arrivals(({ counters }) => [
      [counters.failed, { reason: 'guest' }],
      [counters.tooMany, { reason: 'limit' }],
    ]),
  ),
  metric(
    'client_bytes_total',
    'counter',
    'Bytes of clients passed on, by direction.',
    arrivals(({ counters }) => [
      [counters.bytesToGuest, { direction: 'to_guest' }],
      [counters.bytesFromGuest, { direction: 'from_guest' }],
    ]),
  ),
]

/** Of published ports; enclaves without them have no samples. */
function arrivals(values: (report: ArrivalsReport) => readonly Value[]) {
  return ({ arrivals }: NetworkReport): readonly Value[] =>
    arrivals === undefined ? [] : values(arrivals)
}

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
