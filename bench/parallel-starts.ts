// Many starts at the same moment, and what an enclave takes of the host's memory, beside the same QEMU
// bare.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endEnclave, Registry, startEnclave, type RunningRecord } from '../dist/enclaves/index.js'
import { startBare, type BareMachine } from './bare-machine.ts'
import { buildHello } from './hello-image.ts'
import { requestFor } from './launch-rounds.ts'
import type { BenchRow } from './row.ts'

const COUNTS = [1, 5, 10, 20]
const MEMORY_MIB = 64
/** Of the plot. */
const SECONDS_PER_MARK = 1
const KIB_PER_MIB = 1024
/** What QEMU names the guest's memory, in proc_pid_smaps(5). */
const GUEST_MEMORY = /memfd:memory-backend-memfd/

interface Started {
  readonly seconds: number
  /** Kept resident by each process of the first one, MiB. */
  readonly memory: Readonly<Record<string, number>>
}

export async function run(): Promise<readonly BenchRow[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    const eifPath = join(scratch, 'hello.eif')
    await buildHello(eifPath, 'minimal')
    // The first start on a host makes its chip.
    await startOurs(eifPath, scratch, 1)
    const rows: BenchRow[] = []
    for (const count of COUNTS) {
      const ours = await startOurs(eifPath, scratch, count)
      const bare = await startAllBare(eifPath, join(scratch, `b${String(count)}`), count)
      rows.push(timeRow(count, ours, bare))
      if (count === 1) rows.push(memoryRow(ours, bare))
    }
    return rows
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function startOurs(eifPath: string, scratch: string, count: number): Promise<Started> {
  const request = requestFor(eifPath, scratch, MEMORY_MIB)
  const begin = performance.now()
  const starting = Array.from({ length: count }, (_, index) => {
    const description = { ...request.description, name: `hello-${String(index)}` }
    return startEnclave({ ...request, description })
  })
  const all = await Promise.all(starting)
  const seconds = (performance.now() - begin) / 1000
  const memory = all[0] === undefined ? {} : memoryOf(all[0].record)
  const registry = new Registry(request.directories.runtime)
  await Promise.all(all.map(({ record }) => endEnclave(registry, record, 0)))
  return { seconds, memory }
}

function memoryOf({ keeper, processes }: RunningRecord): Readonly<Record<string, number>> {
  const parts = [{ name: 'keeper', ...keeper }, ...processes]
  return Object.fromEntries(parts.map(({ name, pid }) => [name, proportionalMib(pid)]))
}

async function startAllBare(eifPath: string, scratch: string, count: number): Promise<Started> {
  const begin = performance.now()
  const starting = Array.from({ length: count }, (_, index) =>
    startBare(eifPath, `${scratch}-${String(index)}`, MEMORY_MIB),
  )
  const machines = await Promise.all(starting)
  const seconds = (performance.now() - begin) / 1000
  const memory = bareMemory(machines[0])
  await Promise.all(machines.map((machine) => machine[Symbol.asyncDispose]()))
  return { seconds, memory }
}

function bareMemory(machine: BareMachine | undefined): Readonly<Record<string, number>> {
  const [qemu = 0, card = 0] = machine?.pids ?? []
  const guest = proportionalMib(qemu, GUEST_MEMORY) + proportionalMib(card, GUEST_MEMORY)
  return { QEMU: proportionalMib(qemu), 'vsock card': proportionalMib(card), guest }
}

/** PSS of a process, or of its mappings with such a name. */
function proportionalMib(pid: number, name = /./): number {
  const mappings = readFileSync(`/proc/${String(pid)}/smaps`, 'utf8').split(
    /\n(?=[0-9a-f]+-[0-9a-f]+ )/,
  )
  const kib = mappings
    .filter((text) => name.test(text.split('\n', 1)[0] ?? ''))
    .map((text) => Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0))
  return kib.reduce((sum, it) => sum + it, 0) / KIB_PER_MIB
}

function timeRow(count: number, ours: Started, bare: Started): BenchRow {
  const plot = '#'.repeat(Math.max(1, Math.round(ours.seconds / SECONDS_PER_MARK)))
  return {
    claim: `${String(count)} started at once, all up`,
    ours: `${ours.seconds.toFixed(1)} s ${plot}`,
    peer: `same QEMU bare: ${bare.seconds.toFixed(1)} s`,
    ratio: ours.seconds / bare.seconds,
  }
}

function memoryRow({ memory }: Started, bare: Started): BenchRow {
  const { guest = 0, ...processes } = bare.memory
  const [a, b] = [total(memory), total(processes)]
  return {
    claim: `memory of one enclave of ${String(MEMORY_MIB)} MiB (PSS)`,
    ours: `${a.toFixed(0)} MiB: ${listed(memory)}`,
    peer: `same QEMU bare: ${b.toFixed(0)} MiB: ${listed(processes)}; of both ${guest.toFixed(0)} are the guest's`,
    ratio: a / b,
  }
}

function total(parts: Readonly<Record<string, number>>): number {
  return Object.values(parts).reduce((sum, it) => sum + it, 0)
}

function listed(parts: Readonly<Record<string, number>>): string {
  return Object.entries(parts)
    .map(([name, mib]) => `${name} ${mib.toFixed(1)}`)
    .join(', ')
}
