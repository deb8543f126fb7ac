// Faults of the host that no code of ours can prevent, told as what they are: a full disk, a
// directory of somebody else, too many open files.

import { CloisterError } from '../errors.ts'

const CHOOSE =
  'Check who owns that path; CLOISTER_RUNTIME_DIR, CLOISTER_STATE_DIR and TMPDIR choose others.'

const hints: Readonly<Record<string, string>> = {
  ENOSPC: 'Free some space, or point CLOISTER_RUNTIME_DIR and CLOISTER_STATE_DIR elsewhere.',
  EDQUOT: 'Free some space, or point CLOISTER_RUNTIME_DIR and CLOISTER_STATE_DIR elsewhere.',
  EROFS: 'Point CLOISTER_RUNTIME_DIR and CLOISTER_STATE_DIR at directories that can be written.',
  EACCES: CHOOSE,
  EPERM: CHOOSE,
  EMFILE: 'Raise the limit of open files (`ulimit -n`).',
  ENFILE: 'Raise the limit of open files (`ulimit -n`).',
}

/** The error as `ERR_KEEPER_DIRECTORY` when it is such a fault of the host's file system. */
export function hostFault(error: unknown): CloisterError | undefined {
  if (!(error instanceof Error)) return undefined
  const { code = '', path, message } = error as NodeJS.ErrnoException
  const hint = hints[code]
  if (hint === undefined) return undefined
  return new CloisterError('ERR_KEEPER_DIRECTORY', `the host refuses: ${message}`, {
    cause: error,
    hint,
    details: { errno: code, path },
  })
}
