// Limits the requests of each principal with a token bucket that holds one second's requests. Requests beyond it
// are neither evaluated nor logged.
// @see https://docs.aws.amazon.com/kms/latest/developerguide/throttling.html

import { KmsError } from './kms-error.ts'

interface Bucket {
  tokens: number
  atMs: number
}

export class Throttle {
  readonly #perSecond: number
  /** By the ARN of a principal: no more than there are in the file. */
  readonly #buckets = new Map<string, Bucket>()

  /** @param perSecond - Requests of one principal; Infinity for no bound. */
  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** @throws KmsError ThrottlingException if the principal exceeds its rate. */
  take(arn: string, nowMs: number): void {
    if (!this.takes(arn, nowMs))
      throw new KmsError(
        'ThrottlingException',
        'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.',
      )
  }

  /** Whether the rate allows one more. */
  takes(sender: string, nowMs: number): boolean {
    if (this.#perSecond === Infinity) return true
    const { tokens, atMs } = this.#buckets.get(sender) ?? { tokens: this.#perSecond, atMs: nowMs }
    // A clock that was set back fills nothing, and counts from there.
    const filled = (Math.max(0, nowMs - atMs) * this.#perSecond) / 1000
    const left = Math.min(this.#perSecond, tokens + filled)
    const isAllowed = left >= 1
    this.#buckets.set(sender, { tokens: isAllowed ? left - 1 : left, atMs: nowMs })
    return isAllowed
  }
}
