// Import tokens: what the broker needs to take key material in, kept by the client meanwhile. It is wrapped by the
// master key, so that only this broker can read or make one.

import type { MasterKey } from './master-key.ts'

/** What a token says. */
export interface ImportToken {
  readonly keyId: string
  readonly algorithm: string
  /** Milliseconds since the epoch. */
  readonly validToMs: number
  /** PKCS#8 DER in base64: of the public key that the material is encrypted for. */
  readonly privateKey: string
}

const BINDING = 'import token'

export class ImportTokens {
  readonly #master: MasterKey

  constructor(master: MasterKey) {
    this.#master = master
  }

  seal(token: ImportToken): Uint8Array {
    return this.#master.wrap(Buffer.from(JSON.stringify(token)), BINDING)
  }

  /** Undefined for what this broker did not seal. */
  open(sealed: Uint8Array): ImportToken | undefined {
    try {
      const text = Buffer.from(this.#master.unwrap(sealed, BINDING)).toString()
      return JSON.parse(text) as ImportToken
    } catch {
      return undefined
    }
  }
}
