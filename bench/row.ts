// One claim, measured: ours beside a peer or a floor from the same run.

export interface BenchRow {
  readonly claim: string
  readonly ours: string
  /** The peer's or floor's name and figure. */
  readonly peer: string
  /** Ours by the peer's; what it should be is in the claim. */
  readonly ratio: number
}

/** How often each side runs, `CLOISTER_BENCH_ROUNDS` where it is set: the medians count. */
export function roundsOr(usual: number): number {
  return Number(process.env['CLOISTER_BENCH_ROUNDS'] ?? usual)
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

export function formatRows(rows: readonly BenchRow[]): string {
  const cells = rows.map(({ claim, ours, peer, ratio }) => [claim, ours, peer, ratio.toFixed(2)])
  const table = [['claim', 'ours', 'peer or floor', 'ratio'], ...cells]
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...table.map((row) => row[column]?.length ?? 0)),
  )
  return table.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')).join('\n')
}
