// Whose vsock an enclave has: the card's alone, or with it the host's own AF_VSOCK, where programs
// listen that were written for it, or by which they dial.

import { existsSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { CloisterError } from '../errors.ts'
import { checkHostKernel } from './host-kernel.ts'

export const vsockKinds = ['card', 'host', 'kernel'] as const

/**
 * `card`: the parent is unix sockets. `host`: a parent port without a unix listener is dialled at this
 * host's AF_VSOCK. `kernel`: the enclave's CID is one of this host's AF_VSOCK, in both directions. All
 * under the same port policy.
 */
export type VsockKind = (typeof vsockKinds)[number]

const MODULE = 'vsock_loopback'

/**
 * Checks that this host has what the kind needs.
 *
 * @throws `ERR_VSOCK_HOST`, `ERR_VSOCK_KERNEL`
 */
export function checkVsockKind(kind: VsockKind): VsockKind {
  if (kind === 'kernel') checkHostKernel()
  if (kind === 'host' && !isLoaded(MODULE) && !isBuiltIn(MODULE)) {
    throw new CloisterError(
      'ERR_VSOCK_HOST',
      `--vsock host needs AF_VSOCK's loopback, and the kernel module ${MODULE} is not loaded`,
      { details: { module: MODULE } },
    )
  }
  return kind
}

function isLoaded(module: string): boolean {
  return existsSync(`/sys/module/${module}`)
}

/** modules.builtin of kbuild: a path per module that the kernel has without loading it. */
function isBuiltIn(module: string): boolean {
  try {
    const list = readFileSync(`/lib/modules/${release()}/modules.builtin`, 'utf8')
    return list.includes(`/${module}.ko\n`)
  } catch {
    return false
  }
}
