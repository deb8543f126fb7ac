// The one error class of the toolkit. The code says what failed, `details` with which values,
// `hint` what to do; only `cli` turns a code into text and an exit status.

import { getSystemErrorMap } from 'node:util'
import { errorTable, type ErrorCode } from './error-table.ts'

export type { ErrorCode } from './error-table.ts'

export interface CloisterErrorOptions {
  /** Plain data that went wrong, e.g. `{ pcr: 0, expected, actual }`. */
  readonly details?: Readonly<Record<string, unknown>>
  /** What to do about it; the table's general advice when absent. */
  readonly hint?: string
  readonly cause?: unknown
}

/** An error that callers tell apart by its `code`; docs/errors.md lists the codes. */
export class CloisterError extends Error {
  override readonly name = 'CloisterError'
  readonly code: ErrorCode
  readonly hint: string
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: CloisterErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint ?? errorTable[code].hint
    this.details = options.details ?? {}
  }
}

/** Throws a {@link CloisterError} unless the condition holds. */
export function check(
  condition: boolean,
  code: ErrorCode,
  message: string,
  options?: CloisterErrorOptions,
): asserts condition {
  if (!condition) throw new CloisterError(code, message, options)
}

/**
 * Why something failed, for a message that names the file itself: of a system's error only its words
 * ("permission denied"), without the name of the call and a path that may be a temporary one.
 */
export function reasonOf(error: unknown): string {
  const { errno, syscall } = (error ?? {}) as NodeJS.ErrnoException
  const words = syscall === undefined ? undefined : getSystemErrorMap().get(errno ?? 0)?.[1]
  // One that crossed a process border has its message alone.
  return words ?? messageOf(error).replace(/^E[A-Z0-9]+: ([^,]+), [a-z]+(?: '[^]*')?$/, '$1')
}

/** The same error with other advice. */
export function withHint(
  { code, message, details, cause }: CloisterError,
  hint: string,
): CloisterError {
  return new CloisterError(code, message, { details, cause, hint })
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
