// Errors that cross a process border (the keeper's IPC, keeper.sock, a card's channel) as JSON: code,
// message, hint, details and the chain of causes. What arrives is bounded and may be malformed.

import { errorTable, type ErrorCode } from './error-table.ts'
import { CloisterError, messageOf } from './errors.ts'

/** An error as plain data. */
export interface ErrorData {
  readonly message: string
  /** One of ours, a verifier's, or an errno such as `ENOENT`. */
  readonly code?: string
  readonly hint?: string
  readonly details?: Readonly<Record<string, unknown>>
  readonly stack?: string
  readonly cause?: ErrorData
}

const MAX_CAUSES = 8
const MAX_TEXT = 8192
/** Characters that the details of one error may have in all. */
const MAX_DETAILS = 16_384
const MAX_DEPTH = 4
const MAX_CODE = 64

/** Anything that was thrown, as data; at most some 50 KiB for each of eight errors in the chain. */
export function toData(error: unknown, causes = MAX_CAUSES): ErrorData {
  if (!(error instanceof Error)) return { message: clip(messageOf(error), MAX_TEXT) }
  const { code, hint, details } = error as Partial<CloisterError>
  const cause = causeOf(error)
  return {
    message: clip(error.message, MAX_TEXT),
    ...(typeof code === 'string' && { code: clip(code, MAX_CODE) }),
    ...(typeof hint === 'string' && { hint: clip(hint, MAX_TEXT) }),
    ...(isObject(details) && { details: new PlainCopy().object(details) }),
    ...(error.stack !== undefined && { stack: clip(error.stack, MAX_TEXT) }),
    ...(cause !== undefined && causes > 1 && { cause: toData(cause, causes - 1) }),
  }
}

/**
 * The error that {@link toData} made data of. A code that this version does not know, and data that
 * is not an error, become `fallback`.
 */
export function fromData(data: unknown, fallback: ErrorCode): CloisterError {
  const { message, code, hint, details, stack, cause } = readData(data)
  const isOurs = isErrorCode(code)
  const error = new CloisterError(isOurs ? code : fallback, message, {
    ...(isOurs && hint !== undefined && { hint }),
    ...(details !== undefined && { details }),
    ...(cause !== undefined && { cause: causeFromData(cause, MAX_CAUSES - 1) }),
  })
  if (stack !== undefined) error.stack = stack
  return error
}

/** What an error was caused by: its cause, or the first of an AggregateError's. */
export function causeOf(error: unknown): unknown {
  if (!(error instanceof Error)) return undefined
  if (error.cause !== undefined) return error.cause
  return error instanceof AggregateError ? (error.errors as readonly unknown[])[0] : undefined
}

function causeFromData(data: unknown, causes: number): Error {
  const { message, code, stack, details, cause, hint } = readData(data)
  const options = {
    ...(cause !== undefined && causes > 1 && { cause: causeFromData(cause, causes - 1) }),
  }
  if (isErrorCode(code)) {
    return new CloisterError(code, message, {
      ...options,
      ...(details !== undefined && { details }),
      ...(hint !== undefined && { hint }),
    })
  }
  const error = new Error(message, options)
  if (stack !== undefined) error.stack = stack
  return code === undefined ? error : Object.assign(error, { code })
}

function readData(data: unknown): ErrorData {
  if (typeof data === 'string') return { message: clip(data, MAX_TEXT) }
  if (!isObject(data)) return { message: 'it reported an error that cannot be read' }
  const text = (key: keyof ErrorData, max: number): string | undefined => {
    const value = data[key]
    return typeof value === 'string' ? clip(value, max) : undefined
  }
  const [code, hint, stack] = [
    text('code', MAX_CODE),
    text('hint', MAX_TEXT),
    text('stack', MAX_TEXT),
  ]
  return {
    message: text('message', MAX_TEXT) ?? 'it reported an error without a message',
    ...(code !== undefined && { code }),
    ...(hint !== undefined && { hint }),
    ...(stack !== undefined && { stack }),
    ...(isObject(data['details']) && { details: new PlainCopy().object(data['details']) }),
    ...(data['cause'] !== undefined && { cause: data['cause'] as ErrorData }),
  }
}

function isErrorCode(code: string | undefined): code is ErrorCode {
  return code !== undefined && Object.hasOwn(errorTable, code)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function clip(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`
}

/** Copies a value to JSON's types, until its budget is spent. */
class PlainCopy {
  #left = MAX_DETAILS

  object(value: Readonly<Record<string, unknown>>, depth = 0): Readonly<Record<string, unknown>> {
    const entries: (readonly [string, unknown])[] = []
    for (const [key, item] of Object.entries(value)) {
      if (this.#left <= 0) break
      if (item !== undefined) entries.push([this.#text(key), this.#plain(item, depth + 1)])
    }
    return Object.fromEntries(entries)
  }

  #plain(value: unknown, depth: number): unknown {
    this.#left -= 1
    if (typeof value === 'string') return this.#text(value)
    if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value
    if (value instanceof Uint8Array)
      return this.#text(Buffer.from(value.subarray(0, MAX_TEXT)).toString('hex'))
    if (value instanceof Error) return this.#text(value.message)
    if (typeof value === 'bigint') return this.#text(value.toString())
    if (typeof value !== 'object' || depth >= MAX_DEPTH) return '…'
    if (!Array.isArray(value)) return this.object(value as Record<string, unknown>, depth)
    const items: unknown[] = []
    for (const item of value as readonly unknown[]) {
      if (this.#left <= 0) break
      items.push(this.#plain(item, depth + 1))
    }
    return items
  }

  #text(text: string): string {
    const clipped = clip(text, Math.max(1, Math.min(MAX_TEXT, this.#left)))
    this.#left -= clipped.length
    return clipped
  }
}
