// What a caller can ask for, and the check that he asked for it correctly. A misspelt option or an
// expectation that is `undefined` by accident would silently check nothing, so both are TypeErrors.

import { ASSURANCES, type Assurance } from './assurance.ts'
import type { DocumentKind } from './document/payload.ts'
import { parseMeasurements, type AcceptedPcrs, type Measurements } from './measurements.ts'
import { SignatureCache } from './signature/cache.ts'
import { KeyRing } from './signature/key-ring.ts'
import { runtimeCrypto, type WebCrypto } from './signature/webcrypto.ts'
import { parseCertificate, type Certificate } from './x509/index.ts'

/** Exact bytes, or a question about the bytes (null when the document has none). */
export type ExpectedBytes = Uint8Array | ((actual: Uint8Array | null) => boolean | Promise<boolean>)

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
  /** `nitro-enclave` by default. The other kind is always refused. */
  readonly kind?: DocumentKind
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
  readonly kind: DocumentKind
  readonly at: 'now' | 'document' | Date
  readonly maxAgeMs: number
  readonly clockSkewMs: number
  readonly measurements: readonly AcceptedPcrs[] | undefined
  readonly allowDebug: boolean
  readonly assurance: readonly Assurance[]
  readonly requireTpmEvidence: boolean
  /** The keys that `crypto` imported. */
  readonly keys: KeyRing
  readonly cache: SignatureCache | undefined
  readonly nonce: ExpectedBytes | undefined
  readonly publicKey: ExpectedBytes | undefined
  readonly userData: ExpectedBytes | undefined
  readonly moduleId: Expectations['moduleId']
}

const DEFAULT_MAX_AGE_MS = 300_000
const DEFAULT_CLOCK_SKEW_MS = 60_000

const EXPECTATIONS = ['nonce', 'publicKey', 'userData', 'moduleId', 'at']
const OPTIONS = [
  ...EXPECTATIONS,
  ...['roots', 'kind', 'maxAgeMs', 'clockSkewMs', 'measurements', 'allowDebug', 'assurance'],
  ...['tpmEvidence', 'crypto', 'cache'],
]

/**
 * Checks options and parses the roots.
 * @throws TypeError or RangeError on options that are missing, misspelt or of the wrong type;
 * AttestationError when a root is not a certificate of the profile or measurements are malformed.
 */
export function parseOptions(options: VerifierOptions): Policy {
  checkNames(options, OPTIONS)
  const { kind = 'nitro-enclave', allowDebug = false, tpmEvidence = 'verify-if-present' } = options
  demand(isOneOf(kind, ['nitro-enclave', 'nitro-tpm']), 'kind')
  demand(typeof allowDebug === 'boolean', 'allowDebug')
  demand(isOneOf(tpmEvidence, ['require', 'verify-if-present']), 'tpmEvidence')
  demand(options.cache === undefined || options.cache instanceof SignatureCache, 'cache')
  return {
    roots: parseRoots(options.roots),
    kind,
    ...parseTimes(options),
    ...parseExpectations(options),
    measurements: 'measurements' in options ? parseMeasurements(options.measurements) : undefined,
    allowDebug,
    assurance: parseAssurance(options.assurance ?? ASSURANCES),
    requireTpmEvidence: tpmEvidence === 'require',
    keys: parseKeyRing(options),
    cache: options.cache,
  }
}

/** The policy for one document: its own expectations replace those of the verifier. */
export function withExpectations(policy: Policy, expectations: Expectations): Policy {
  checkNames(expectations, EXPECTATIONS)
  const own = parseExpectations({ ...policyExpectations(policy), ...expectations })
  const at = expectations.at ?? policy.at
  demand(isMoment(at), 'at')
  return { ...policy, ...own, at }
}

function policyExpectations({ nonce, publicKey, userData, moduleId }: Policy): Expectations {
  return Object.fromEntries(
    Object.entries({ nonce, publicKey, userData, moduleId }).filter(([, v]) => v !== undefined),
  )
}

function parseExpectations({ nonce, publicKey, userData, moduleId }: Expectations) {
  for (const [name, value] of Object.entries({ nonce, publicKey, userData })) {
    const right = value === undefined || value instanceof Uint8Array || typeof value === 'function'
    demand(right, name)
  }
  demand(['undefined', 'string', 'function'].includes(typeof moduleId), 'moduleId')
  return { nonce, publicKey, userData, moduleId }
}

function parseTimes(options: VerifierOptions): Pick<Policy, 'at' | 'maxAgeMs' | 'clockSkewMs'> {
  const { at = 'now', maxAgeMs = DEFAULT_MAX_AGE_MS, clockSkewMs = DEFAULT_CLOCK_SKEW_MS } = options
  demand(isMoment(at), 'at')
  for (const [name, value] of Object.entries({ maxAgeMs, clockSkewMs })) {
    if (!(value >= 0)) throw new RangeError(`option ${name} is not a number of milliseconds`)
  }
  const archived = at === 'document' && 'maxAgeMs' in options
  if (archived) throw new TypeError("maxAgeMs means nothing with at: 'document'")
  return { at, maxAgeMs, clockSkewMs }
}

function parseRoots(roots: VerifierOptions['roots']): readonly Certificate[] {
  const given = Array.isArray(roots) && roots.length > 0
  demand(given && roots.every((root) => root instanceof Uint8Array), 'roots')
  return roots.map((root) => parseCertificate(root.slice()))
}

function parseKeyRing({ crypto = runtimeCrypto(), cache }: VerifierOptions): KeyRing {
  return cache ? cache.keyRing(crypto) : new KeyRing(crypto)
}

function parseAssurance(accepted: Assurance | readonly Assurance[]): readonly Assurance[] {
  const list: readonly Assurance[] = typeof accepted === 'string' ? [accepted] : accepted
  demand(list.length > 0 && list.every((one) => ASSURANCES.includes(one)), 'assurance')
  return list
}

function isMoment(at: unknown): boolean {
  if (at instanceof Date) return !Number.isNaN(at.getTime())
  return at === 'now' || at === 'document'
}

function checkNames(options: object, known: readonly string[]): void {
  for (const [name, value] of Object.entries(options)) {
    if (!known.includes(name)) throw new TypeError(`unknown option ${name}`)
    if (value === undefined) throw new TypeError(`option ${name} is undefined: leave it out`)
  }
}

/** Callers without types can pass anything. */
function isOneOf(value: unknown, allowed: readonly unknown[]): boolean {
  return allowed.includes(value)
}

function demand(condition: boolean, name: string): asserts condition {
  if (!condition) throw new TypeError(`option ${name} has a wrong value`)
}
