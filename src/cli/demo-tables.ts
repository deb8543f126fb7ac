// The demo's two tables.

import type { PcrTable } from '@cloister/attestation'
import type { TimelineStep } from '../enclaves/index.ts'

const sources: Readonly<Record<number, string>> = {
  0: 'kernel, command line, ramdisks',
  1: 'kernel, command line, boot ramdisk',
  2: 'application ramdisk',
  3: 'role',
  4: 'host',
  8: 'signing certificate',
}

/** PCRs that are not zero, with what they measure. */
export function pcrTable(pcrs: PcrTable): string {
  const all = Object.entries(pcrs)
  const rows = all.filter(([, value]) => /[^0]/.test(value))
  const lines = rows.map(
    ([pcr, value]) => `${`PCR${pcr}`.padEnd(6)}${value}  ${sources[Number(pcr)] ?? 'the app'}`,
  )
  return [...lines, `The other ${String(all.length - rows.length)} are zero.`].join('\n')
}

/** The steps of a command, with those of the keeper below the step that ran it. */
export function timelineTable(
  steps: readonly TimelineStep[],
  keeperSteps: readonly TimelineStep[],
): string {
  const lines = steps.flatMap((step) => [
    row(step.step, step.tookMs),
    ...(step.step === 'run it' ? keeperSteps.map((sub) => row(`  ${sub.step}`, sub.tookMs)) : []),
  ])
  const total = steps.reduce((sum, { tookMs }) => sum + tookMs, 0)
  return [...lines, row('total', total)].join('\n')
}

function row(step: string, tookMs: number): string {
  return `${step.padEnd(50)}${String(tookMs).padStart(6)} ms`
}
