// PEM (RFC 7468): the certificates of a text.

const CERTIFICATE = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g

/** The DER bytes of every certificate in a PEM text, in order; what is around them is no concern. */
export function pemCertificates(text: string): readonly Uint8Array[] {
  return [...text.matchAll(CERTIFICATE)].map(([, base64 = '']) =>
    Uint8Array.from(Buffer.from(base64, 'base64')),
  )
}
