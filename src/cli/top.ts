// cloister top: what the running enclaves use, as a table that is drawn anew on a terminal. Elsewhere it
// is printed once.

import { Command } from 'commander'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  isAlive,
  openDirectories,
  processesOf,
  Registry,
  type AliveRecord,
  type EnclaveReport,
} from '../enclaves/index.ts'
import { processFacts } from '../subprocess/index.ts'
import { wholeNumber } from './arguments.ts'
import { isTerminal, Screen } from './screen.ts'
import { printText } from './print.ts'
import { topTable, type EnclaveLook, type Looks } from './top-table.ts'
import { vsockReports } from './vsock-report.ts'

interface TopOptions {
  readonly interval: number
  readonly once?: boolean
}

const NOTES = `
CPU is in percent of one CPU. MEMORY is that of all processes of the enclave, and what its guest may have. IN and OUT are
bytes through vsock ports, NSM requests to the guest's security module, FLOWS open flows of its network, and REFUSED what
the port policy and the rules of the network have refused. Without a terminal, or with --once, the table is printed once,
after one interval. q or Ctrl-C ends it.

Example:
  cloister top --interval 5
`

export function topCommand(): Command {
  return new Command('top')
    .option('--interval <seconds>', 'how often to look', wholeNumber(1, 3600), 2)
    .option('--once', 'print the table once, without control sequences')
    .addHelpText('after', NOTES)
    .action(top)
}

async function top({ interval, once }: TopOptions): Promise<void> {
  const registry = new Registry(openDirectories().runtime)
  const before = await look(registry)
  if (once === true || !isTerminal()) {
    if (before.enclaves.length > 0) await sleep(interval * 1000)
    printText(topTable(before, await look(registry)).join('\n'))
    return
  }
  using screen = new Screen()
  await follow(registry, screen, { before, intervalMs: interval * 1000 })
}

async function follow(
  registry: Registry,
  screen: Screen,
  { before, intervalMs }: { readonly before: Looks; readonly intervalMs: number },
): Promise<void> {
  // Something is there at once; rates follow.
  screen.draw((columns) => topTable(before, before, columns))
  let last = before
  while (!(await screen.closesWithin(intervalMs))) {
    const [earlier, now] = [last, await look(registry)]
    last = now
    screen.draw((columns) => topTable(earlier, now, columns))
  }
}

/** An enclave that does not answer has no figures of its own. */
async function look(registry: Registry): Promise<Looks> {
  registry.settle()
  const records = registry.list().filter(isAlive)
  const reports = await vsockReports(registry, records, { isQuiet: true })
  return {
    atMs: performance.now(),
    enclaves: records.map((record) => lookOf(record, reports.get(record.id))),
  }
}

function lookOf(record: AliveRecord, report: EnclaveReport | undefined): EnclaveLook {
  const { id, description, keeper, createdAt, state } = record
  const processes = [keeper, ...processesOf(record)].flatMap((it) => processFacts(it) ?? [])
  const sum = (values: readonly number[]): number => values.reduce((total, it) => total + it, 0)
  const since = ('startedAt' in record ? record.startedAt : undefined) ?? createdAt
  return {
    ...{ id, name: description.name, state, memoryMib: description.memoryMib, report },
    ageMs: Date.now() - Date.parse(since),
    usedBytes: sum(processes.map((it) => it.proportionalBytes ?? it.residentBytes)),
    cpuSeconds: sum(processes.map(({ cpuSeconds }) => cpuSeconds)),
  }
}
