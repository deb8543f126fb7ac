// A certificate file that somebody names: one certificate, strictly.

import { CloisterError } from '../errors.ts'
import { pemCertificates } from '../pem.ts'

/**
 * The DER bytes of the one certificate in a PEM text.
 *
 * @throws `ERR_CLI_ARGUMENT` when there is none, or more than one.
 */
export function pemToDer(text: string): Uint8Array {
  const [first, ...others] = pemCertificates(text)
  if (first === undefined)
    throw new CloisterError('ERR_CLI_ARGUMENT', 'there is no PEM certificate')
  if (others.length > 0)
    throw new CloisterError('ERR_CLI_ARGUMENT', 'there are several PEM certificates')
  return first
}

/** A certificate file, PEM or DER, as DER. */
export function certificateToDer(bytes: Uint8Array): Uint8Array {
  const isDer = bytes[0] === 0x30
  return isDer ? bytes : pemToDer(new TextDecoder().decode(bytes))
}
