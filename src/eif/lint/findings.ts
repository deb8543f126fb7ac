// What a linter of images says: a rule, whose it is, and what breaks it.

/** `aws`: nitro-cli and AWS's platform; `qemu`: its `nitro-enclave` machine; `cloister`: our reader. */
export type Platform = 'aws' | 'qemu' | 'cloister'

export const PLATFORMS = ['aws', 'qemu', 'cloister'] as const satisfies readonly Platform[]

export interface LintFinding {
  /** A stable name. */
  readonly rule: string
  /** `error`: the platforms refuse the image, or it does not work there. */
  readonly level: 'error' | 'warning'
  readonly platforms: readonly Platform[]
  readonly message: string
}

/** Collects findings. */
export class Findings {
  readonly list: LintFinding[] = []

  error(rule: string, platforms: readonly Platform[], message: string): void {
    this.list.push({ rule, level: 'error', platforms, message })
  }

  warning(rule: string, platforms: readonly Platform[], message: string): void {
    this.list.push({ rule, level: 'warning', platforms, message })
  }
}
