// How policies name a root certificate.

import { createHash } from 'node:crypto'

/** SHA-256 of a root's DER, in hexadecimal digits: the value of `cloister:RecipientAttestation:RootSha256`. */
export function rootDigest(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex')
}
