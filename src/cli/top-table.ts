// A table of what enclaves use, from two looks at them: rates are the difference. Pure.

import type { EnclaveReport } from '../enclaves/index.ts'

/** One enclave at one moment. */
export interface EnclaveLook {
  readonly id: string
  readonly name: string
  readonly state: string
  /** ms since its app has started, or since its request. */
  readonly ageMs: number
  /** What its guest may have. */
  readonly memoryMib: number
  /** PSS of all its processes, or RSS where that cannot be seen. */
  readonly usedBytes: number
  readonly cpuSeconds: number
  /** Absent when it was not to be had. */
  readonly report?: EnclaveReport | undefined
}

export interface Looks {
  /** By `performance.now()`. */
  readonly atMs: number
  readonly enclaves: readonly EnclaveLook[]
}

type Cell = readonly [heading: string, text: string]

const UNKNOWN = '-'
const MAX_NAME = 24

/** Lines of at most `columns` characters, a heading first. */
export function topTable(before: Looks, now: Looks, columns = Infinity): readonly string[] {
  const seconds = (now.atMs - before.atMs) / 1000
  const earlier = new Map(before.enclaves.map((look) => [look.id, look]))
  const rows = now.enclaves.map((look) => cells(look, earlier.get(look.id), seconds))
  const [first] = rows
  if (first === undefined) return ['No enclave is running.']
  const texts = [first.map(([heading]) => heading), ...rows.map((row) => row.map(([, it]) => it))]
  const widths = first.map((_, column) => Math.max(...texts.map((row) => width(row[column]))))
  return texts.map((row) =>
    row
      .map((text, column) => {
        const space = ' '.repeat((widths[column] ?? 0) - width(text))
        return column < LEFT ? text + space : space + text
      })
      .join('  ')
      .trimEnd()
      .slice(0, columns),
  )
}

/** Columns with words. */
const LEFT = 2

function width(text: string | undefined): number {
  return Array.from(text ?? '').length
}

function cells(
  look: EnclaveLook,
  before: EnclaveLook | undefined,
  seconds: number,
): readonly Cell[] {
  const { report } = look
  const rate = (value: (of: EnclaveReport) => number): number | undefined => {
    const [from, to] = [before?.report, report].map((it) => (it === undefined ? it : value(it)))
    return from === undefined || to === undefined ? undefined : Math.max(0, to - from) / seconds
  }
  const cpu = before === undefined ? undefined : (look.cpuSeconds - before.cpuSeconds) / seconds
  const known = <T>(value: T | undefined, show: (value: T) => string): string =>
    value === undefined ? UNKNOWN : show(value)
  return [
    ['NAME', shortened(look.name)],
    ['STATE', look.state],
    ['UP', duration(look.ageMs)],
    ['CPU', known(cpu, (it) => `${String(Math.round(Math.max(0, it) * 100))}%`)],
    ['MEMORY', `${bytes(look.usedBytes)}/${bytes(look.memoryMib * 2 ** 20)}`],
    ['CONN', known(report, ({ connections }) => String(connections))],
    [
      'IN/s',
      known(
        rate(({ counters }) => counters.bytesToGuest),
        bytes,
      ),
    ],
    [
      'OUT/s',
      known(
        rate(({ counters }) => counters.bytesToHost),
        bytes,
      ),
    ],
    ['NSM/s', known(rate(nsmRequests), (it) => it.toFixed(1))],
    ['FLOWS', known(report?.network, ({ flows }) => String(flows))],
    ['REFUSED', known(report, (it) => String(refused(it)))],
  ]
}

function nsmRequests({ nsm = [] }: EnclaveReport): number {
  return nsm.flatMap(({ buckets }) => buckets).reduce((sum, count) => sum + count, 0)
}

/** By the port policy and by the rules of the network. */
function refused({ counters, network }: EnclaveReport): number {
  return counters.refusedByPolicy + (network?.refused ?? 0)
}

function shortened(name: string): string {
  const characters = Array.from(name)
  return characters.length <= MAX_NAME ? name : `${characters.slice(0, MAX_NAME - 1).join('')}…`
}

/** `950`, `12K`, `1.5M`, `480M`, … */
function bytes(count: number): string {
  const units = ['', 'K', 'M', 'G', 'T']
  let [value, unit] = [count, 0]
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1]
  const text = unit > 0 && value < 9.95 ? value.toFixed(1) : String(Math.round(value))
  return `${text}${units[unit] ?? ''}`
}

/** `12s`, `3m05s`, `2h10m`, `4d03h`. */
function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const two = (value: number): string => String(value).padStart(2, '0')
  if (seconds < 60) return `${String(seconds)}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${String(minutes)}m${two(seconds % 60)}s`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return `${String(hours)}h${two(minutes % 60)}m`
  return `${String(Math.floor(hours / 24))}d${two(hours % 24)}h`
}
