// A private key in a PEM file: SEC1 (`EC PRIVATE KEY`) or PKCS#8, also encrypted.

import { createPrivateKey } from 'node:crypto'

import { deterministicKey, type SigningKey } from '../eif/index.ts'
import { CloisterError } from '../errors.ts'
import type { KeyOptions } from './key-options.ts'

/** @throws ERR_SIGNING_KEY when it cannot be read, ERR_EIF_SIGNING when it cannot sign images */
export function openPemKey(pem: Uint8Array, { password }: KeyOptions): SigningKey {
  const key = Buffer.from(pem)
  try {
    // Without a passphrase OpenSSL would ask for one at the terminal.
    return deterministicKey(createPrivateKey({ key, format: 'pem', passphrase: password ?? '' }))
  } catch (cause) {
    if (cause instanceof CloisterError) throw cause
    throw new CloisterError('ERR_SIGNING_KEY', problemOf(key, password), { cause })
  }
}

function problemOf(pem: Buffer, password: string | undefined): string {
  if (!pem.includes('ENCRYPTED')) return 'the private key is not a PEM key'
  return password === undefined
    ? 'the private key is encrypted, and no password was given'
    : 'the private key cannot be decrypted with this password'
}
