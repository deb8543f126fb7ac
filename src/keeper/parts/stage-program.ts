// A program that lies below a private home cannot be executed by another user: it is copied to
// where that user can.

import { accessSync, constants, copyFileSync, chmodSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CloisterError, reasonOf } from '../../errors.ts'
import type { Confinement } from '../../subprocess/index.ts'

/**
 * The command that runs `program` as `user` with `directory` as its working directory.
 *
 * @throws `ERR_PROCESS_SPAWN` when there is no such program.
 */
export function stageProgram(program: string, directory: string, user: Confinement): string {
  try {
    accessSync(program, constants.X_OK)
    if (user.uid === undefined) return program
    const copy = join(directory, basename(program))
    copyFileSync(program, copy, constants.COPYFILE_EXCL)
    chmodSync(copy, 0o555)
    return `./${basename(program)}`
  } catch (cause) {
    throw new CloisterError('ERR_PROCESS_SPAWN', `cannot run ${program}: ${reasonOf(cause)}`, {
      cause,
      details: { program },
    })
  }
}
