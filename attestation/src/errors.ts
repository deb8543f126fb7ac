// The one error class of the package. The code says which rule was broken, `details` with which
// values, `hint` what to do. Mistakes of the calling program are TypeError and RangeError instead.

import { errorTable, type AttestationErrorCode } from './error-table.ts'

/** What an {@link AttestationError} carries besides its code and message. */
export interface AttestationErrorOptions {
  /** Plain data that went wrong, e.g. `{ pcr: 0, expected, actual }`. */
  readonly details?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

/** A document, or a part of one, that must not be trusted. */
export class AttestationError extends Error {
  override readonly name = 'AttestationError'
  /** Which rule was broken; stable, and the same for the same document and options. */
  readonly code: AttestationErrorCode
  /** What to do about it. */
  readonly hint: string
  /** The values involved: plain data as the document has it, empty when there are none. */
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: AttestationErrorCode, message: string, options: AttestationErrorOptions = {}) {
    super(printable(message), options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = errorTable[code].hint
    this.details = options.details ?? {}
  }
}

/** Messages quote names of a hostile document, and end up in logs and on terminals. */
function printable(message: string): string {
  return message.replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  )
}

/** Throws an {@link AttestationError} unless the condition holds. */
export function check(
  condition: boolean,
  code: AttestationErrorCode,
  message: string,
  details?: Readonly<Record<string, unknown>>,
): asserts condition {
  if (!condition) throw new AttestationError(code, message, details && { details })
}
