// A private key in a PKCS#12 file (RFC 7292), as `openssl pkcs12 -export` writes it.

import forge from 'node-forge'
import { createPrivateKey, type KeyObject } from 'node:crypto'

import { deterministicKey, type SigningKey } from '../eif/index.ts'
import { CloisterError, check } from '../errors.ts'
import type { KeyOptions } from './key-options.ts'

const DER_SEQUENCE = 0x30

/** Of a key file that is not PEM: DER, or the BER of older tools. */
export function isPkcs12(file: Uint8Array): boolean {
  return file[0] === DER_SEQUENCE
}

/** @throws ERR_SIGNING_KEY when it cannot be read, ERR_EIF_SIGNING when it cannot sign images */
export function openPkcs12(file: Uint8Array, { password }: KeyOptions): SigningKey {
  check(password !== undefined, 'ERR_SIGNING_KEY', 'the PKCS#12 file needs a password', {
    hint: 'Give --private-key-password-file, or set CLOISTER_PRIVATE_KEY_PASSWORD; it may be empty.',
  })
  return deterministicKey(onlyKey(file, password))
}

function onlyKey(file: Uint8Array, password: string): KeyObject {
  const { pkcs8ShroudedKeyBag: shrouded = '', keyBag: plain = '' } = forge.pki.oids
  try {
    const asn1 = forge.asn1.fromDer(Buffer.from(file).toString('latin1'))
    const pkcs12 = forge.pkcs12.pkcs12FromAsn1(asn1, password)
    const keys = [shrouded, plain]
      .flatMap((bagType) => pkcs12.getBags({ bagType })[bagType] ?? [])
      .map((bag) => keyOf(bag.asn1))
    const [key] = keys
    check(
      key !== undefined && keys.length === 1,
      'ERR_SIGNING_KEY',
      `the PKCS#12 file has ${String(keys.length)} private keys, not one`,
    )
    return key
  } catch (cause) {
    if (cause instanceof CloisterError) throw cause
    const message = 'the PKCS#12 file cannot be read with this password'
    throw new CloisterError('ERR_SIGNING_KEY', message, { cause })
  }
}

/** forge reads RSA keys alone, and hands out the others as they are: a PrivateKeyInfo (RFC 5208). */
function keyOf(privateKeyInfo: forge.asn1.Asn1): KeyObject {
  const der = Buffer.from(forge.asn1.toDer(privateKeyInfo).getBytes(), 'latin1')
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}
