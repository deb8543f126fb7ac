// Where the programs are that an enclave is made of.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Programs } from './launch-request.ts'
import { CloisterError, messageOf } from '../errors.ts'
import { findProgram } from '../subprocess/index.ts'

const installed = new URL('../../build/bin/', import.meta.url)

/**
 * `CLOISTER_QEMU` (qemu-system-x86_64 of the PATH), `CLOISTER_VSOCK_CARD`, `CLOISTER_NSM_CARD` and
 * `CLOISTER_NETWORK_CARD` (a cloister-vsock, a cloister-nsm and a cloister-network, else what the set-up built).
 *
 * @throws `ERR_PROCESS_SPAWN` when a card is not there, or a variable does not name a program.
 */
export function findPrograms(): Programs {
  return {
    qemu: qemu(process.env['CLOISTER_QEMU']),
    ...findCards(),
    networkCard: findNetworkCard(),
  }
}

/** The cards among {@link findPrograms}. */
export function findCards(): Pick<Programs, 'vsockCard' | 'nsmCard'> {
  return {
    vsockCard: own('vsock card', ['CLOISTER_VSOCK_CARD', 'cloister-vsock']),
    nsmCard: own('NSM card', ['CLOISTER_NSM_CARD', 'cloister-nsm']),
  }
}

/**
 * `CLOISTER_NETWORK_CARD`, a cloister-network, else where the set-up puts it: few enclaves need it, so that its
 * absence is an error of those.
 *
 * @throws `ERR_PROCESS_SPAWN` when the variable does not name a program.
 */
export function findNetworkCard(): string {
  const chosen = process.env['CLOISTER_NETWORK_CARD']
  if (chosen === undefined) return fileURLToPath(new URL('cloister-network', installed))
  return runnable(chosen, 'CLOISTER_NETWORK_CARD', 'the one that the set-up built')
}

/**
 * `CLOISTER_PARENT`, a cloister-parent, else what the set-up built.
 *
 * @throws `ERR_PROCESS_SPAWN` when it is not there.
 */
export function findParentProgram(): string {
  return own('parent program', ['CLOISTER_PARENT', 'cloister-parent'])
}

function qemu(chosen: string | undefined): string {
  if (chosen === undefined) return 'qemu-system-x86_64'
  return runnable(chosen, 'CLOISTER_QEMU', 'qemu-system-x86_64 from the PATH')
}

function own(
  name: string,
  [variable, program]: readonly [variable: string, program: string],
): string {
  const chosen = process.env[variable]
  if (chosen !== undefined) return runnable(chosen, variable, 'the one that the set-up built')
  const path = fileURLToPath(new URL(program, installed))
  if (existsSync(path)) return path
  throw new CloisterError('ERR_PROCESS_SPAWN', `the ${name} is missing: ${path} does not exist`, {
    details: { program: path },
  })
}

/** The absolute path of what a variable names. */
function runnable(path: string, variable: string, usual: string): string {
  try {
    return findProgram(path, process.cwd())
  } catch (cause) {
    throw new CloisterError('ERR_PROCESS_SPAWN', `${variable}: ${messageOf(cause)}`, {
      details: { program: path, variable },
      hint: `Correct ${variable}, or unset it to use ${usual}.`,
    })
  }
}
