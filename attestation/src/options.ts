// What a caller can ask for, and the validation of those options. An option that is misspelt, inherited
// or `undefined` by accident would silently check nothing, so these are TypeErrors.

import { ASSURANCES, type Assurance } from './assurance.ts'
import type { DocumentKind } from './document/payload.ts'
import { AttestationError } from './errors.ts'
import { parseMeasurements, type AcceptedPcrs, type Measurements } from './measurements.ts'
import { readOptions } from './read-options.ts'
import { SignatureCache } from './signature/cache.ts'
import { rememberingCrypto } from './signature/remembering-crypto.ts'
import { runtimeCrypto, type WebCrypto } from './signature/webcrypto.ts'
import { parseCertificate, type Certificate } from './x509/index.ts'

/**
 * Exact bytes, which may be empty; `'absent'` when the document must not have the field; or a question
 * about the bytes (null when the document has none).
 */
export type ExpectedBytes =
  Uint8Array | 'absent' | ((actual: Uint8Array | null) => boolean | Promise<boolean>)

/** What one document must say. */
export interface Expectations {
  /** The nonce that was sent with the request: it makes the answer fresh. */
  readonly nonce?: ExpectedBytes
  readonly publicKey?: ExpectedBytes
  readonly userData?: ExpectedBytes
  /** Exact text, or a question about it. */
  readonly moduleId?: string | ((actual: string) => boolean)
  /**
   * When: `'now'` by default; a Date; or `'document'`, which checks an archived document at its own
   * time and says nothing about its freshness.
   */
  readonly at?: 'now' | 'document' | Date
}

/** What every document must satisfy. */
export interface VerifierOptions extends Expectations {
  /** DER certificates of the trusted roots; `awsNitroRootG1` for AWS. There is no default. */
  readonly roots: readonly [Uint8Array, ...Uint8Array[]]
  /** One or several accepted kinds; `nitro-enclave` by default. Any other is always refused. */
  readonly kind?: DocumentKind | readonly DocumentKind[]
  /** Oldest accepted document; 5 minutes by default. Not with `at: 'document'`. */
  readonly maxAgeMs?: number
  /** How far in the future a document may seem to be made; 60 seconds by default. */
  readonly clockSkewMs?: number
  readonly measurements?: Measurements
  /** Accepts debug mode, whose code is not measured; false by default. */
  readonly allowDebug?: boolean
  /** One or several accepted protections of the signing key; any by default. */
  readonly assurance?: Assurance | readonly Assurance[]
  /** `verify-if-present` by default. The header is not signed: only `require` notices its removal. */
  readonly tpmEvidence?: 'require' | 'verify-if-present'
  /** A WebCrypto to use instead of the runtime's own. */
  readonly crypto?: WebCrypto
  /** Remembers verified certificate signatures. `createVerifier` makes its own. */
  readonly cache?: SignatureCache
}

/** Options in the form the verifier works with. */
export interface Policy {
  readonly roots: readonly Certificate[]
  readonly kinds: readonly DocumentKind[]
  readonly at: 'now' | 'document' | Date
  readonly maxAgeMs: number
  readonly clockSkewMs: number
  readonly measurements: readonly AcceptedPcrs[] | undefined
  readonly allowDebug: boolean
  readonly assurance: readonly Assurance[]
  readonly requireTpmEvidence: boolean
  /** The caller's or the runtime's, with the memory of this verifier. */
  readonly crypto: WebCrypto
  readonly nonce: ExpectedBytes | undefined
  readonly publicKey: ExpectedBytes | undefined
  readonly userData: ExpectedBytes | undefined
  readonly moduleId: Expectations['moduleId']
}

const DEFAULT_MAX_AGE_MS = 300_000
const DEFAULT_CLOCK_SKEW_MS = 60_000

const DOCUMENT_KINDS: readonly DocumentKind[] = ['nitro-enclave', 'nitro-tpm']
const EXPECTATIONS = ['nonce', 'publicKey', 'userData', 'moduleId', 'at']
const OPTIONS = [
  ...EXPECTATIONS,
  ...['roots', 'kind', 'maxAgeMs', 'clockSkewMs', 'measurements', 'allowDebug', 'assurance'],
  ...['tpmEvidence', 'crypto', 'cache'],
]

/**
 * Checks options and parses the roots. Everything is copied, so later changes by the caller have no effect.
 * @throws TypeError or RangeError on options that are missing, misspelt, inherited or of the wrong
 * type; AttestationError when a root is not a certificate of the profile or measurements are
 * malformed.
 */
export function parseOptions(given: VerifierOptions, ownCache?: SignatureCache): Policy {
  const options = readOptions(given, OPTIONS)
  const {
    kind = 'nitro-enclave',
    assurance = ASSURANCES,
    allowDebug = false,
    tpmEvidence = 'verify-if-present',
  } = options
  const { crypto = runtimeCrypto(), cache = ownCache } = options
  demand(typeof allowDebug === 'boolean', 'allowDebug')
  demand(isOneOf(tpmEvidence, ['require', 'verify-if-present']), 'tpmEvidence')
  demand(cache === undefined || cache instanceof SignatureCache, 'cache')
  return {
    roots: parseRoots(options.roots),
    kinds: parseChoice(kind, DOCUMENT_KINDS, 'kind'),
    ...parseTimes(options),
    ...parseExpectations(options),
    measurements: 'measurements' in options ? parseMeasurements(options.measurements) : undefined,
    allowDebug,
    assurance: parseChoice(assurance, ASSURANCES, 'assurance'),
    requireTpmEvidence: tpmEvidence === 'require',
    crypto: rememberingCrypto(crypto, cache),
  }
}

/** The policy for one document: its own expectations replace those of the verifier. */
export function withExpectations(policy: Policy, given: Expectations): Policy {
  const expectations = readOptions(given, EXPECTATIONS)
  const { at } = expectations
  return {
    ...policy,
    ...parseExpectations(expectations, policy),
    at: at === undefined ? policy.at : parseMoment(at),
  }
}

function parseExpectations(given: Expectations, base: Partial<Policy> = {}) {
  const { moduleId = base.moduleId } = given
  demand(['undefined', 'string', 'function'].includes(typeof moduleId), 'moduleId')
  const bytes = (name: 'nonce' | 'publicKey' | 'userData') =>
    name in given ? parseBytes(given[name], name) : base[name]
  return {
    nonce: bytes('nonce'),
    publicKey: bytes('publicKey'),
    userData: bytes('userData'),
    moduleId,
  }
}

function parseBytes(value: unknown, name: string): ExpectedBytes {
  if (value instanceof Uint8Array) return new Uint8Array(value)
  demand(value === 'absent' || typeof value === 'function', name)
  return value as Exclude<ExpectedBytes, Uint8Array>
}

function parseTimes(options: VerifierOptions): Pick<Policy, 'at' | 'maxAgeMs' | 'clockSkewMs'> {
  const { at = 'now', maxAgeMs = DEFAULT_MAX_AGE_MS, clockSkewMs = DEFAULT_CLOCK_SKEW_MS } = options
  for (const [name, value] of Object.entries({ maxAgeMs, clockSkewMs })) {
    if (typeof value === 'number' && value >= 0) continue
    throw new RangeError(`option ${name} is not a number of milliseconds`)
  }
  const archived = at === 'document' && 'maxAgeMs' in options
  if (archived) throw new TypeError("maxAgeMs has no meaning with at: 'document'")
  return { at: parseMoment(at), maxAgeMs, clockSkewMs }
}

function parseMoment(at: unknown): Policy['at'] {
  if (at === 'now' || at === 'document') return at
  demand(at instanceof Date && !Number.isNaN(at.getTime()), 'at')
  return new Date(at)
}

/** A Node Buffer's `slice` shares its memory, so the roots are copied by the constructor. */
function parseRoots(roots: unknown): readonly Certificate[] {
  const given = Array.isArray(roots) && roots.length > 0
  demand(given && roots.every((root) => root instanceof Uint8Array), 'roots')
  return roots.map((root: Uint8Array, index) => parseRoot(new Uint8Array(root), index))
}

/** An error says which root it is about. */
function parseRoot(der: Uint8Array, index: number): Certificate {
  try {
    return parseCertificate(der)
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error
    const details = { ...error.details, root: index }
    const message = `roots[${index}]: ${error.message}`
    throw new AttestationError(error.code, message, { details, cause: error })
  }
}

/** One or several of the known choices. */
function parseChoice<T extends string>(
  accepted: unknown,
  known: readonly T[],
  name: string,
): readonly T[] {
  const list: unknown = typeof accepted === 'string' ? [accepted] : accepted
  const isKnown = (one: unknown): one is T => isOneOf(one, known)
  demand(Array.isArray(list) && list.length > 0 && list.every(isKnown), name)
  return [...list]
}

/** Callers without types can pass anything. */
function isOneOf(value: unknown, allowed: readonly unknown[]): boolean {
  return allowed.includes(value)
}

function demand(condition: boolean, name: string): asserts condition {
  if (!condition) throw new TypeError(`option ${name} has an invalid value`)
}
