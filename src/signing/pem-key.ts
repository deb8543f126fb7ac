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
    throw problemOf(key, { password, cause })
  }
}

const FORMS =
  'Give a private key as PEM (SEC1 or PKCS#8) or PKCS#12; docs/signing.md lists every kind of key.'
const PASSWORD = 'Give --private-key-password-file, or set CLOISTER_PRIVATE_KEY_PASSWORD.'

interface Failure {
  readonly password: string | undefined
  readonly cause: unknown
}

/** OpenSSL's words, the cause, help only where the file is a key of some kind. */
function problemOf(pem: Buffer, { password, cause }: Failure): CloisterError {
  const error = (message: string, hint: string, because?: unknown): CloisterError =>
    new CloisterError('ERR_SIGNING_KEY', message, { hint, cause: because })
  if (!pem.includes('PRIVATE KEY-----')) {
    const isCertificate = pem.includes('-----BEGIN CERTIFICATE-----')
    return error(isCertificate ? 'a certificate, not a private key' : 'not a private key', FORMS)
  }
  if (!pem.includes('ENCRYPTED')) return error('the private key cannot be read', FORMS, cause)
  return password === undefined
    ? error('the private key is encrypted, and no password was given', PASSWORD)
    : error('the private key cannot be decrypted with this password', PASSWORD)
}
