// Nonces that a server hands out without remembering them: an expiry, randomness, and an HMAC over
// both. Only nonces that came back in a verified document are remembered, until they expire, so a
// flood of unanswered challenges costs no memory.

import { concatBytes, toHex } from '../bytes.ts'
import { AttestationError, check } from '../errors.ts'
import { readOptions } from '../read-options.ts'

/** Bounds of the challenges that a gate hands out. */
export interface ChallengeOptions {
  /** How long a challenge is valid; 60 seconds by default. */
  readonly challengeLifetimeMs?: number
  /** How many used nonces are remembered; 100000 by default. Beyond it, documents are refused. */
  readonly maxUsed?: number
  /** The present in milliseconds; by default a clock that is never set back. */
  readonly now?: () => number
}

const OPTIONS = ['challengeLifetimeMs', 'maxUsed', 'now']
const DEFAULT_LIFETIME_MS = 60_000
const DEFAULT_MAX_USED = 100_000
const EXPIRY_BYTES = 8
const RANDOM_BYTES = 16
const SIGNED_BYTES = EXPIRY_BYTES + RANDOM_BYTES
const MAC_BYTES = 32
const HMAC = { name: 'HMAC', hash: 'SHA-256' } as const

/** Issues nonces and accepts each of them once. */
export class Challenges {
  readonly #lifetimeMs: number
  readonly #maxUsed: number
  readonly #now: () => number
  readonly #key: Promise<CryptoKey>
  /** Expiry by used nonce, in the order of use. */
  readonly #used = new Map<string, number>()

  /** @throws TypeError or RangeError when the options are wrong. */
  constructor(options: ChallengeOptions = {}) {
    const { challengeLifetimeMs, maxUsed, now } = readOptions(options, OPTIONS)
    this.#lifetimeMs = positiveInteger(challengeLifetimeMs ?? DEFAULT_LIFETIME_MS)
    this.#maxUsed = positiveInteger(maxUsed ?? DEFAULT_MAX_USED)
    this.#now = now ?? steadyClock
    const secret = crypto.getRandomValues(new Uint8Array(MAC_BYTES))
    this.#key = crypto.subtle.importKey('raw', secret, HMAC, false, ['sign', 'verify'])
  }

  /** A new nonce: 8 bytes expiry, 16 bytes randomness, 32 bytes HMAC-SHA-256. */
  async issue(): Promise<Uint8Array<ArrayBuffer>> {
    const signed = new Uint8Array(SIGNED_BYTES)
    crypto.getRandomValues(signed.subarray(EXPIRY_BYTES))
    const expiresMs = BigInt(Math.ceil(this.#now()) + this.#lifetimeMs)
    new DataView(signed.buffer).setBigUint64(0, expiresMs)
    const mac = await crypto.subtle.sign(HMAC, await this.#key, signed)
    return concatBytes(signed, new Uint8Array(mac))
  }

  /**
   * Uses up a nonce that came back.
   * @throws AttestationError ERR_HTTP_CHALLENGE, ERR_HTTP_OVERLOADED.
   */
  async redeem(nonce: Uint8Array | null): Promise<void> {
    const expiresMs = await this.#verify(nonce)
    const nowMs = this.#now()
    check(nowMs <= expiresMs, 'ERR_HTTP_CHALLENGE', 'the nonce has expired', { expiresMs })
    this.#forgetExpired(nowMs)
    const index = nonce ? toHex(nonce) : ''
    check(!this.#used.has(index), 'ERR_HTTP_CHALLENGE', 'the nonce was used before')
    check(this.#used.size < this.#maxUsed, 'ERR_HTTP_OVERLOADED', 'too many nonces were used')
    this.#used.set(index, expiresMs)
  }

  /** When the nonce expires; refuses one that is not ours. */
  async #verify(nonce: Uint8Array | null): Promise<number> {
    if (nonce?.length !== SIGNED_BYTES + MAC_BYTES) throw notOurs()
    const own = new Uint8Array(nonce)
    const [signed, mac] = [own.slice(0, SIGNED_BYTES), own.slice(SIGNED_BYTES)]
    if (!(await crypto.subtle.verify(HMAC, await this.#key, mac, signed))) throw notOurs()
    return Number(new DataView(signed.buffer).getBigUint64(0))
  }

  /**
   * All lifetimes are equal, so the oldest entries expire first or nearly so. The moment is the
   * one at which this nonce was found valid; a later one could drop this nonce's own entry first.
   */
  #forgetExpired(nowMs: number): void {
    for (const [index, expiresMs] of this.#used) {
      if (expiresMs >= nowMs) return
      this.#used.delete(index)
    }
  }
}

/** The wall clock, but without its jumps: a nonce that was forgotten as expired stays expired. */
function steadyClock(): number {
  return performance.timeOrigin + performance.now()
}

function positiveInteger(value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new RangeError(`${value} is not a positive integer`)
}

function notOurs(): AttestationError {
  return new AttestationError('ERR_HTTP_CHALLENGE', 'the nonce is not one of this server')
}
