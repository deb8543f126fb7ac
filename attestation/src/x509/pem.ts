// PEM (RFC 7468): the one reader of this package and of Cloister. Text between blocks is ignored, as
// section 2 allows; a block that does not end or is not base64 is an error, never skipped.

import { AttestationError, check } from '../errors.ts'

/** One block: what its label says it is, and its bytes. */
export interface PemBlock {
  /** What follows BEGIN, e.g. `CERTIFICATE`. */
  readonly label: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

const BEGIN = /-----BEGIN /g
const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,64})-----([A-Za-z0-9+/=\s]*)-----END \1-----/g
const CERTIFICATE = 'CERTIFICATE'

/**
 * Every block of a PEM text, in order; empty when there is none.
 * @throws AttestationError ERR_X509_FORMAT when a block is malformed.
 */
export function decodePemBlocks(text: string): readonly PemBlock[] {
  const blocks = [...text.matchAll(BLOCK)]
  const begun = text.match(BEGIN)?.length ?? 0
  check(blocks.length === begun, 'ERR_X509_FORMAT', 'a PEM block is malformed or does not end')
  return blocks.map(([, label = '', body = '']) => ({ label, bytes: decodeBody(body) }))
}

/**
 * DER of every certificate in a PEM text, in order: at least one. Blocks of other labels are ignored.
 * @throws AttestationError ERR_X509_FORMAT when there is no certificate, or a malformed block.
 */
export function decodePemBundle(
  text: string,
): readonly [Uint8Array<ArrayBuffer>, ...Uint8Array<ArrayBuffer>[]] {
  const certificates = decodePemBlocks(text).filter(({ label }) => label === CERTIFICATE)
  const [first, ...others] = certificates.map(({ bytes }) => bytes)
  check(first !== undefined, 'ERR_X509_FORMAT', 'the text holds no PEM certificate')
  return [first, ...others]
}

/**
 * DER of the one certificate in a PEM text.
 * @throws AttestationError ERR_X509_FORMAT when there is none or more than one.
 */
export function decodePem(text: string): Uint8Array<ArrayBuffer> {
  const [certificate, ...others] = decodePemBundle(text)
  check(others.length === 0, 'ERR_X509_FORMAT', 'the PEM text holds several certificates')
  return certificate
}

function decodeBody(body: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(body), (character) => character.charCodeAt(0))
  } catch (cause) {
    throw new AttestationError('ERR_X509_FORMAT', 'a PEM block is not base64', { cause })
  }
}
