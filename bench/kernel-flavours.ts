// The two flavours of the guest kernel: how long the same app takes to start, in turns, and the size
// of the kernels.

import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KERNEL_FLAVOURS, type KernelFlavour } from '../src/image/index.ts'
import { buildHello } from './hello-image.ts'
import { launchOurs, requestFor } from './launch-rounds.ts'
import { median, roundsOr, type BenchRow } from './row.ts'

const ROUNDS = roundsOr(5)
const KERNELS: Readonly<Record<KernelFlavour, string>> = {
  standard: 'build/blobs/bzImage',
  minimal: 'build/blobs/minimal/bzImage',
}

export async function run(): Promise<readonly BenchRow[]> {
  const [standard, minimal] = [KERNELS.standard, KERNELS.minimal].map((path) => statSync(path).size)
  return [
    await compareLaunches(),
    row(
      'size of the kernel standard',
      standard ?? 0,
      minimal ?? 0,
      (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`,
    ),
  ]
}

async function compareLaunches(): Promise<BenchRow> {
  const scratch = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    const times: Record<KernelFlavour, number[]> = { standard: [], minimal: [] }
    const path = (flavour: KernelFlavour): string => join(scratch, `${flavour}.eif`)
    for (const flavour of KERNEL_FLAVOURS) await buildHello(path(flavour), flavour)
    for (let round = 0; round < ROUNDS; round++) {
      for (const flavour of KERNEL_FLAVOURS) {
        times[flavour].push((await launchOurs(requestFor(path(flavour), scratch))).appMs)
      }
    }
    const [standard, minimal] = [median(times.standard), median(times.minimal)]
    return row('launch with the kernel standard', standard, minimal, (ms) => `${ms.toFixed(0)} ms`)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function row(
  claim: string,
  standard: number,
  minimal: number,
  show: (value: number) => string,
): BenchRow {
  const peer = `minimal: ${show(minimal)}`
  return { claim, ours: show(standard), peer, ratio: standard / minimal }
}
