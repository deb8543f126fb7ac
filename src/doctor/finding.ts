// What was found of one thing that Cloister needs, or can make use of.

export interface Finding {
  readonly name: string
  /** `failed`: enclaves cannot run; `warning`: slower or less isolated; `note`: a feature is missing. */
  readonly status: 'ok' | 'note' | 'warning' | 'failed'
  readonly text: string
  /** What to do about it; of everything that is not ok. */
  readonly fix?: string
}

/** A check ends with one finding, and never throws. */
export type Check = () => Finding | Promise<Finding>

export function ok(name: string, text: string): Finding {
  return { name, status: 'ok', text }
}
