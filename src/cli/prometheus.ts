// Prometheus' text-based exposition format 0.0.4 and OpenMetrics 1.0, as far as counters, gauges and
// histograms need them.

export interface Sample {
  /** Of a histogram's series. */
  readonly suffix?: '_bucket' | '_count' | '_sum'
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Metric {
  /** `[a-zA-Z_][a-zA-Z0-9_]*`; a counter's ends in `_total`. */
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** One sentence. */
  readonly help: string
  readonly samples: readonly Sample[]
}

/** Every metric with its help and type, also one without samples. */
export function exposition(metrics: readonly Metric[]): string {
  return metrics.map(family).join('')
}

/** The same; a counter's family has no `_total` there, a label's quotes are escaped in help too, and an end follows. */
export function openMetrics(metrics: readonly Metric[]): string {
  const families = metrics.map(({ name, type, help, samples }) => {
    const base = type === 'counter' ? name.replace(/_total$/, '') : name
    const escaped = escapeLabel(help)
    return [`# TYPE ${base} ${type}`, `# HELP ${base} ${escaped}`, ...lines(name, samples)]
  })
  return [...families.flat(), '# EOF', ''].join('\n')
}

function family({ name, type, help, samples }: Metric): string {
  const head = [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`]
  return [...head, ...lines(name, samples), ''].join('\n')
}

function lines(name: string, samples: readonly Sample[]): readonly string[] {
  return samples.map(
    ({ suffix = '', labels, value }) => `${name}${suffix}${labelText(labels)} ${String(value)}`,
  )
}

function labelText(labels: Sample['labels']): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"')
}
