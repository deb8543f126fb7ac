// Errors about what is in a file that the user named: the reader of its bytes does not know its name.

import { CloisterError } from '../errors.ts'

/** The same error with the file's name before its message, if that does not have it already. */
export function namingFile<E>(name: string, error: E): E | CloisterError {
  if (!(error instanceof CloisterError) || error.message.includes(name)) return error
  const { code, message, details, hint, cause } = error
  return new CloisterError(code, `${name}: ${message}`, { details, hint, cause })
}
