// cloister metrics: what describe-enclaves counts, for Prometheus (text exposition format 0.0.4).

import { Command } from 'commander'
import { isAlive, openDirectories, readEvents, Registry } from '../enclaves/index.ts'
import { enclaveMetrics } from './enclave-metrics.ts'
import { Ends } from './ends.ts'
import { parsePlace, serveMetrics, type MetricsPlace } from './metrics-server.ts'
import { processMetrics } from './process-metrics.ts'
import { exposition, type Metric } from './prometheus.ts'
import { vsockReports } from './vsock-report.ts'

/** `cloister metrics`; an enclave that does not answer is there as `cloister_vsock_up 0`. */
export function metricsCommand(): Command {
  return new Command('metrics')
    .option(
      '--listen <where>',
      'serve them over HTTP at /metrics, on a unix socket (/path) or 127.0.0.1:PORT',
      parsePlace,
    )
    .addHelpText(
      'after',
      `
For node_exporter's textfile collector, from a timer; the file is replaced as a whole:
  cloister metrics > cloister.prom.new && mv cloister.prom.new cloister.prom

Examples:
  cloister metrics
  cloister metrics --listen /run/cloister-metrics.sock
`,
    )
    .action(async ({ listen }: { readonly listen?: MetricsPlace }) => {
      const registry = new Registry(openDirectories().runtime)
      if (listen !== undefined) await serve(registry, listen)
      else process.stdout.write(exposition(await collect(registry)))
    })
}

async function collect(registry: Registry): Promise<readonly Metric[]> {
  registry.settle()
  const records = registry.list().filter(isAlive)
  const reports = await vsockReports(registry, records)
  return [...enclaveMetrics(records, reports), ...processMetrics(records)]
}

/** Until a signal ends this process. */
async function serve(registry: Registry, place: MetricsPlace): Promise<void> {
  const ends = new Ends()
  await serveMetrics(place, async () => [...(await collect(registry)), ends.metric()])
  await ends.count(readEvents(registry, { follow: true, sinceMs: Date.now() }))
}
