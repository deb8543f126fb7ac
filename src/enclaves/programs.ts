// Where the programs are that an enclave is made of.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Programs } from './launch-request.ts'
import { CloisterError } from '../errors.ts'

const installed = new URL('../../build/bin/', import.meta.url)

/**
 * `CLOISTER_QEMU` (qemu-system-x86_64 of the PATH), `CLOISTER_VSOCK_CARD` and `CLOISTER_NSM_CARD`
 * (a cloister-vsock and a cloister-nsm, else what the set-up built).
 *
 * @throws `ERR_PROCESS_SPAWN` when a card is not there.
 */
export function findPrograms(env: NodeJS.ProcessEnv = process.env): Programs {
  return {
    qemu: env['CLOISTER_QEMU'] ?? 'qemu-system-x86_64',
    vsockCard: card('vsock card', env['CLOISTER_VSOCK_CARD'], 'cloister-vsock'),
    nsmCard: card('NSM card', env['CLOISTER_NSM_CARD'], 'cloister-nsm'),
  }
}

/**
 * `CLOISTER_PARENT`, a cloister-parent, else what the set-up built.
 *
 * @throws `ERR_PROCESS_SPAWN` when it is not there.
 */
export function findParentProgram(env: NodeJS.ProcessEnv = process.env): string {
  return card('cloister-parent', env['CLOISTER_PARENT'], 'cloister-parent')
}

function card(name: string, chosen: string | undefined, program: string): string {
  const path = chosen ?? fileURLToPath(new URL(program, installed))
  if (existsSync(path)) return path
  throw new CloisterError('ERR_PROCESS_SPAWN', `the ${name} is missing: ${path} does not exist`, {
    details: { card: path },
  })
}
