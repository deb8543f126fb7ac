// The fields of a request, read one by one against AWS's model: type, length, pattern. A field that
// nobody read is refused, so that nothing a client asks for is dropped in silence.

import { invalid, KmsError } from './kms-error.ts'

/** Base64 as AWS takes it: padded, without line breaks. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const MAX_CONTEXT_BYTES = 8192
/** A lone half of a surrogate pair has no UTF-8: what is stored, signed and compared would differ. */
const LONE_SURROGATE = /\p{Surrogate}/u

/** The condition key of a name in an encryption context is this and the name. */
export const CONTEXT_KEY = 'kms:EncryptionContext:'

/** Names and values, both text. */
export type EncryptionContext = Readonly<Record<string, string>>

/**
 * Reads a request's fields by name; null counts as absent. Throws KmsError `SerializationException`
 * for a wrong type and `ValidationException` for a broken constraint.
 */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>
  readonly #path: string
  readonly #read = new Set<string>()

  constructor(value: unknown, path = '') {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new KmsError('SerializationException', `${path || 'the request'} is not an object`)
    this.#values = value as Readonly<Record<string, unknown>>
    this.#path = path
  }

  /** Text of 1 to `max` characters; without U+0000, where SQLite's text would end. */
  text(name: string, max: number, pattern?: RegExp): string | undefined {
    const value = this.possiblyEmptyText(name, max)
    if (value === '') throw this.#broken(name, 'Member must have length greater than or equal to 1')
    if (value !== undefined && pattern?.test(value) === false)
      throw this.#broken(name, `Member must satisfy regular expression pattern: ${pattern.source}`)
    return value
  }

  /** Text of at most `max` characters. */
  possiblyEmptyText(name: string, max: number): string | undefined {
    const value = this.#take(name)
    if (value === undefined) return undefined
    if (typeof value !== 'string') throw this.#mistyped(name, 'a string')
    if (value.length > max) throw this.#broken(name, atMost(max))
    if (value.includes('\0') || LONE_SURROGATE.test(value))
      throw this.#broken(name, 'Member must not contain U+0000 or a lone surrogate')
    return value
  }

  requiredText(name: string, max: number, pattern?: RegExp): string {
    return this.text(name, max, pattern) ?? this.#missing(name)
  }

  /** One of the names of an enumeration. */
  choice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const value = this.#take(name)
    return value === undefined ? undefined : this.#chosen(name, value, choices)
  }

  requiredChoice<T extends string>(name: string, choices: readonly T[]): T {
    return this.choice(name, choices) ?? this.#missing(name)
  }

  #chosen<T extends string>(name: string, value: unknown, choices: readonly T[]): T {
    if (typeof value !== 'string') throw this.#mistyped(name, 'a string')
    const chosen = choices.find((one) => one === value)
    if (chosen === undefined)
      throw this.#broken(name, `Member must satisfy enum value set: [${choices.join(', ')}]`)
    return chosen
  }

  /** A whole number within bounds. */
  integer(name: string, min: number, max: number): number | undefined {
    const value = this.#take(name)
    if (value === undefined) return undefined
    if (!Number.isInteger(value)) throw this.#mistyped(name, 'an integer')
    const number = value as number
    if (number < min)
      throw this.#broken(name, `Member must have value greater than or equal to ${String(min)}`)
    if (number > max)
      throw this.#broken(name, `Member must have value less than or equal to ${String(max)}`)
    return number
  }

  /** Milliseconds since the epoch, of a date in AWS's form: seconds, maybe with a fraction. */
  timestamp(name: string): number | undefined {
    const value = this.#take(name)
    if (value === undefined) return undefined
    const isDate = typeof value === 'number' && Math.abs(value) < 8.64e12
    if (!isDate) throw this.#mistyped(name, 'a date in seconds since the epoch')
    return Math.round(value * 1000)
  }

  flag(name: string): boolean {
    const value = this.#take(name) ?? false
    if (typeof value !== 'boolean') throw this.#mistyped(name, 'a boolean')
    return value
  }

  /** Bytes in base64, 1 to `max` of them. */
  blob(name: string, max: number): Uint8Array | undefined {
    const value = this.#take(name)
    if (value === undefined) return undefined
    if (typeof value !== 'string') throw this.#mistyped(name, 'base64')
    const bytes = Buffer.from(value, 'base64')
    // The pattern takes longer, and is for what no encoder writes.
    const isBase64 = bytes.toString('base64') === value || BASE64.test(value)
    if (!isBase64) throw this.#mistyped(name, 'base64')
    if (bytes.length === 0)
      throw this.#brokenSecret(name, 'Member must have length greater than or equal to 1')
    if (bytes.length > max) throw this.#brokenSecret(name, atMost(max))
    return bytes
  }

  requiredBlob(name: string, max: number): Uint8Array {
    return this.blob(name, max) ?? this.#missing(name)
  }

  /** An encryption context; empty when absent. No two names differ in case only: condition keys do not. */
  context(name: string): EncryptionContext {
    const value = this.#take(name) ?? {}
    if (typeof value !== 'object' || Array.isArray(value)) throw this.#mistyped(name, 'a map')
    const entries = Object.entries(value as Record<string, unknown>)
    if (!entries.every(([, text]) => typeof text === 'string'))
      throw this.#mistyped(name, 'a map of strings')
    const bytes = entries.reduce((sum, pair) => sum + Buffer.byteLength(pair.join('')), 0)
    if (bytes > MAX_CONTEXT_BYTES)
      throw invalid(`${name} has more than ${String(MAX_CONTEXT_BYTES)} bytes`)
    if (entries.some((pair) => pair.some((text) => LONE_SURROGATE.test(String(text)))))
      throw invalid(`${name} has a lone surrogate`)
    // With the prefix, since the lower case of a sigma depends on what is before it.
    const keys = entries.map(([key]) => `${CONTEXT_KEY}${key}`.toLowerCase())
    if (new Set(keys).size < keys.length)
      throw invalid(`${name} has two names that differ in case only`)
    return value as EncryptionContext
  }

  /** The fields of a structure. */
  structure(name: string): Fields | undefined {
    const value = this.#take(name)
    return value === undefined ? undefined : new Fields(value, this.#nameOf(name))
  }

  /** The fields of each structure of a list. */
  structures(name: string): readonly Fields[] | undefined {
    const values = this.#take(name)
    if (values === undefined) return undefined
    if (!Array.isArray(values)) throw this.#mistyped(name, 'a list')
    return values.map((one) => new Fields(one, `${this.#nameOf(name)}[]`))
  }

  requiredTexts(
    name: string,
    bounds: { readonly most: number; readonly longest: number },
  ): readonly string[] {
    if (this.#take(name) === undefined) this.#missing(name)
    return this.texts(name, bounds)
  }

  /** A list of texts; empty when absent. */
  texts(
    name: string,
    { most, longest }: { readonly most: number; readonly longest: number },
  ): readonly string[] {
    const values = this.#take(name) ?? []
    const isList = Array.isArray(values) && values.every((one) => typeof one === 'string')
    if (!isList) throw this.#mistyped(name, 'a list of strings')
    const isInBounds = values.every((one: string) => one.length > 0 && one.length <= longest)
    if (values.length > most || !isInBounds) throw this.#broken(name, atMost(most))
    return values
  }

  /** A list of names of an enumeration; empty when absent. */
  choices<T extends string>(name: string, choices: readonly T[]): readonly T[] {
    const values = this.#take(name) ?? []
    if (!Array.isArray(values)) throw this.#mistyped(name, 'a list')
    return values.map((one) => this.#chosen(name, one, choices))
  }

  requiredChoices<T extends string>(name: string, choices: readonly T[]): readonly T[] {
    if (this.#take(name) === undefined) this.#missing(name)
    const chosen = this.choices(name, choices)
    if (chosen.length === 0) throw this.#broken(name, 'Member must not be empty')
    return chosen
  }

  /** Fields that must be absent, or empty, each with the reason. */
  refuse(fields: Readonly<Record<string, string>>): void {
    for (const [name, reason] of Object.entries(fields)) {
      const value = this.#take(name)
      const isEmpty =
        value === undefined || value === false || (Array.isArray(value) && value.length === 0)
      if (!isEmpty) throw new KmsError('UnsupportedOperationException', `${name}: ${reason}`)
    }
  }

  /** Refuses what nobody read. */
  end(): void {
    const unread = Object.keys(this.#values).find(
      (name) => !this.#read.has(name) && this.#values[name] !== null,
    )
    if (unread !== undefined) throw invalid(`${this.#nameOf(unread)}: this broker does not know it`)
  }

  #take(name: string): unknown {
    this.#read.add(name)
    return Object.hasOwn(this.#values, name) ? (this.#values[name] ?? undefined) : undefined
  }

  #nameOf(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`
  }

  #missing(name: string): never {
    throw this.#violation(name, 'Value null', 'Member must not be null')
  }

  #broken(name: string, constraint: string): KmsError {
    const value = this.#values[name]
    const isShort = typeof value === 'number' || (typeof value === 'string' && value.length <= 256)
    return this.#violation(name, isShort ? `Value '${String(value)}'` : 'Value', constraint)
  }

  /** As AWS does, without the value of a field that may be secret. */
  #brokenSecret(name: string, constraint: string): KmsError {
    return this.#violation(name, 'Value', constraint)
  }

  #violation(name: string, value: string, constraint: string): KmsError {
    const field = this.#nameOf(name).replace(/(^|\.)./g, (first) => first.toLowerCase())
    return invalid(
      `1 validation error detected: ${value} at '${field}' failed to satisfy constraint: ${constraint}`,
    )
  }

  #mistyped(name: string, expected: string): KmsError {
    return new KmsError('SerializationException', `${this.#nameOf(name)} is not ${expected}`)
  }
}

function atMost(max: number): string {
  return `Member must have length less than or equal to ${String(max)}`
}
