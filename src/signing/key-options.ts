// What the kinds of keys have in common.

import type { SigningKey } from '../eif/index.ts'

export interface KeyOptions {
  /** The password of an encrypted key; the PIN of a token. */
  readonly password?: string
}

/** A key of a device or service is released on disposal. */
export interface OpenKey extends SigningKey, Partial<AsyncDisposable> {}
