// Root certificates that a --root option names.

import { AttestationError } from '@cloister/attestation'
import { parseCertificate } from '@cloister/attestation/x509'
import { CloisterError, withHint } from '../errors.ts'
import { namingFile } from '../files/index.ts'
import { readFileArgument } from './arguments.ts'
import { certificatesToDer } from './pem.ts'

/** The certificates of a file, each one that the verifier can use; an error names the file. */
export function readRoots(path: string): readonly Uint8Array[] {
  const bytes = readFileArgument('--root', path)
  try {
    const roots = certificatesToDer(bytes)
    for (const root of roots) parseCertificate(root)
    return roots
  } catch (error) {
    throw error instanceof CloisterError
      ? withHint(
          namingFile(`--root: ${path}`, error),
          'Give a root certificate in PEM or DER, such as authority/root.pem of the state directory.',
        )
      : ofFile(`--root: ${path}`, error)
  }
}

/** The verifier's error with the name of the file that it is about. */
export function ofFile(name: string, error: unknown): unknown {
  if (!(error instanceof AttestationError)) return error
  const { code, message, details, cause } = error
  return new AttestationError(code, `${name}: ${message}`, { details, cause })
}
