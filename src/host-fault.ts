// Faults of the host that no code of ours can prevent, reported as what they are: a full disk, somebody
// else's directory, too many open files, no memory.

import { causeOf } from './error-data.ts'
import { errorTable } from './error-table.ts'
import { CloisterError, reasonOf, type ErrorCode } from './errors.ts'

interface Fault {
  readonly code: ErrorCode
  readonly hint: string
}

const DISK =
  'Free some space, or set CLOISTER_RUNTIME_DIR, CLOISTER_STATE_DIR and TMPDIR to directories on another disk.'
const OWNER =
  'Check the owner and mode of that path; CLOISTER_RUNTIME_DIR, CLOISTER_STATE_DIR and TMPDIR choose others.'
const { hint: DESCRIPTORS } = errorTable.ERR_HOST_DESCRIPTORS
const { hint: MEMORY } = errorTable.ERR_HOST_MEMORY
const { hint: PROCESSES } = errorTable.ERR_HOST_PROCESSES

const faults: Readonly<Record<string, Fault>> = {
  ENOSPC: { code: 'ERR_KEEPER_DIRECTORY', hint: DISK },
  EDQUOT: { code: 'ERR_KEEPER_DIRECTORY', hint: DISK },
  EROFS: {
    code: 'ERR_KEEPER_DIRECTORY',
    hint: 'Set CLOISTER_RUNTIME_DIR, CLOISTER_STATE_DIR and TMPDIR to writable directories.',
  },
  EACCES: { code: 'ERR_KEEPER_DIRECTORY', hint: OWNER },
  EPERM: { code: 'ERR_KEEPER_DIRECTORY', hint: OWNER },
  EMFILE: { code: 'ERR_HOST_DESCRIPTORS', hint: DESCRIPTORS },
  ENFILE: { code: 'ERR_HOST_DESCRIPTORS', hint: DESCRIPTORS },
  ENOMEM: { code: 'ERR_HOST_MEMORY', hint: MEMORY },
  EAGAIN: { code: 'ERR_HOST_PROCESSES', hint: PROCESSES },
}

/** Faults that say what to do whatever failed because of them; the others depend on the path. */
const SHORTAGES = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'])
const MAX_CAUSES = 8

/** An error that no code of ours describes, as the fault of the host that it is, if it is one. */
export function hostFault(error: unknown): CloisterError | undefined {
  if (!(error instanceof Error) || error instanceof CloisterError) return undefined
  const { code = '', path } = error as NodeJS.ErrnoException
  const fault = Object.hasOwn(faults, code) ? faults[code] : undefined
  if (fault === undefined) return undefined
  const what = path === undefined ? 'the host refuses' : `cannot use ${path}`
  return new CloisterError(fault.code, `${what}: ${reasonOf(error)}`, {
    cause: error,
    hint: fault.hint,
    details: { errno: code, path },
  })
}

/** What to do about an error that was caused by a shortage on the host, if it was. */
export function shortageHint(error: unknown): string | undefined {
  let cause = error
  for (let n = 0; n < MAX_CAUSES && cause !== undefined; n++, cause = causeOf(cause)) {
    const { code } = cause as { readonly code?: unknown }
    if (typeof code === 'string' && SHORTAGES.has(code)) return faults[code]?.hint
  }
  return undefined
}
