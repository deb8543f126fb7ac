// The metrics of an enclave's processes, as the kernel counts them.

import { processesOf, type EnclaveRecord } from '../enclaves/index.ts'
import { processFacts } from '../subprocess/index.ts'
import type { Metric, Sample } from './prometheus.ts'

/** Of the processes that run. */
export function processMetrics(records: readonly EnclaveRecord[]): readonly Metric[] {
  const all = records.flatMap(factsOf)
  const family = (
    [name, type, help]: readonly [string, Metric['type'], string],
    value: (facts: (typeof all)[number]['facts']) => number | undefined,
  ): Metric => ({
    name: `cloister_process_${name}`,
    ...{ type, help },
    samples: all.flatMap(({ labels, facts }) => {
      const found = value(facts)
      return found === undefined ? [] : [{ labels, value: found }]
    }),
  })
  return [
    family(
      ['resident_bytes', 'gauge', 'Resident memory of a process; of QEMU, with the guest.'],
      ({ residentBytes }) => residentBytes,
    ),
    family(
      [
        'proportional_bytes',
        'gauge',
        'The same, with shared memory divided among its users (PSS).',
      ],
      ({ proportionalBytes }) => proportionalBytes,
    ),
    family(
      ['cpu_seconds_total', 'counter', 'CPU time of a process; of QEMU, with the guest.'],
      ({ cpuSeconds }) => cpuSeconds,
    ),
  ]
}

function factsOf(record: EnclaveRecord): readonly {
  readonly labels: Sample['labels']
  readonly facts: NonNullable<ReturnType<typeof processFacts>>
}[] {
  const { id, keeper, description } = record
  const processes = [{ ...keeper, name: 'keeper' }, ...processesOf(record)]
  return processes.flatMap((process) => {
    const facts = processFacts(process)
    const labels = { enclave_id: id, enclave_name: description.name, process: process.name }
    return facts === undefined ? [] : [{ labels, facts }]
  })
}
