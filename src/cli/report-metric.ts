// What a metric takes from an enclave's report.

import type { EnclaveReport } from '../enclaves/index.ts'
import type { Metric } from './prometheus.ts'

/** One value of a report, and the labels that tell it from others of its metric. */
export type Value = readonly [value: number, labels?: Readonly<Record<string, string>>]

export interface ReportMetric {
  readonly name: string
  readonly type: Metric['type']
  readonly help: string
  readonly values: (report: EnclaveReport) => readonly Value[]
}
