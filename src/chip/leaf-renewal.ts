// Keeps an enclave's leaf certificate fresh: it lives three hours and is renewed in its last one,
// in the background while the old one still serves.

/** A certified AK, as it goes into a document. */
export interface Leaf {
  /** DER leaf certificate. */
  readonly certificate: Uint8Array
  /** DER certificates, root first, the leaf's issuer last. */
  readonly cabundle: readonly Uint8Array[]
  readonly notBefore: Date
  readonly notAfter: Date
}

export type IssueLeaf = (at: Date) => Promise<Leaf>

const RENEW_BEFORE_MS = 60 * 60 * 1000
/** After a failed renewal the next try waits: each one takes the chip's lock. */
const RETRY_MS = 60 * 1000

/**
 * Caches one leaf certificate and renews it in the background during its last hour. A failed
 * renewal is retried after a minute.
 */
export class LeafRenewal {
  readonly #issue: IssueLeaf
  #leaf: Leaf | undefined
  #renewal: Promise<Leaf> | undefined
  #retryAt = 0

  constructor(issue: IssueLeaf) {
    this.#issue = issue
  }

  /**
   * A leaf that is valid at `at`. A failed renewal is reported once there is no valid leaf left.
   * @throws whatever issuing throws
   */
  async current(at: Date): Promise<Leaf> {
    const leaf = this.#leaf
    if (!leaf || at < leaf.notBefore || at > leaf.notAfter) return this.#renew(at)
    const due = leaf.notAfter.getTime() - at.getTime() < RENEW_BEFORE_MS
    if (due && at.getTime() >= this.#retryAt) void this.#renewInBackground(at)
    return leaf
  }

  /** One renewal at a time, however many ask. */
  #renew(at: Date): Promise<Leaf> {
    this.#renewal ??= this.#issue(at)
      .then((leaf) => (this.#leaf = leaf))
      .finally(() => (this.#renewal = undefined))
    return this.#renewal
  }

  async #renewInBackground(at: Date): Promise<void> {
    try {
      await this.#renew(at)
    } catch {
      // The old leaf still serves; when it no longer does, current() reports the failure.
      this.#retryAt = at.getTime() + RETRY_MS
    }
  }
}
