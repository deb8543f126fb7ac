// cloister metrics: what describe-enclaves counts, for Prometheus (text exposition format 0.0.4).

import { Command } from 'commander'
import { isAlive, openDirectories, Registry } from '../enclaves/index.ts'
import { enclaveMetrics } from './enclave-metrics.ts'
import { exposition } from './prometheus.ts'
import { vsockReports } from './vsock-report.ts'

/** `cloister metrics`; an enclave that does not answer is there as `cloister_vsock_up 0`. */
export function metricsCommand(): Command {
  return new Command('metrics')
    .addHelpText(
      'after',
      `
For node_exporter's textfile collector, from a timer; the file is replaced as a whole:
  cloister metrics > cloister.prom.new && mv cloister.prom.new cloister.prom

Example:
  cloister metrics
`,
    )
    .action(async () => {
      const registry = new Registry(openDirectories().runtime)
      registry.settle()
      const records = registry.list().filter(isAlive)
      const reports = await vsockReports(registry, records)
      process.stdout.write(exposition(enclaveMetrics(records, reports)))
    })
}
