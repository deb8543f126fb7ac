// PEM (RFC 7468): one certificate, strict textual encoding.

import { AttestationError } from '../errors.ts'

const CERTIFICATE =
  /^\s*-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)\r?\n-----END CERTIFICATE-----\s*$/

/**
 * DER of the one certificate in PEM text.
 * @throws AttestationError ERR_X509_FORMAT when the text is not exactly one certificate.
 */
export function decodePem(text: string): Uint8Array<ArrayBuffer> {
  const body = CERTIFICATE.exec(text)?.[1]
  if (body === undefined) throw new AttestationError('ERR_X509_FORMAT', 'not one PEM certificate')
  try {
    return Uint8Array.from(atob(body.replace(/[\r\n]/g, '')), (character) =>
      character.charCodeAt(0),
    )
  } catch (cause) {
    throw new AttestationError('ERR_X509_FORMAT', 'the PEM text is not base64', { cause })
  }
}
