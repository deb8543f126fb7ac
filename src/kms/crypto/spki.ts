// Public keys from outside: DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).

import { createPublicKey, type KeyObject } from 'node:crypto'

/** Undefined when the bytes are not exactly one key: what follows it would not be in its hash. */
export function parseSpki(der: Uint8Array): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(der), type: 'spki', format: 'der' })
    return key.export({ type: 'spki', format: 'der' }).equals(der) ? key : undefined
  } catch {
    return undefined
  }
}
