// Where the programs are that an enclave is made of.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Programs } from '../keeper/index.ts'
import { CloisterError } from '../errors.ts'

const installed = fileURLToPath(new URL('../../build/bin/cloister-vsock', import.meta.url))

/**
 * `CLOISTER_QEMU` (qemu-system-x86_64 of the PATH) and `CLOISTER_VSOCK_CARD` (a cloister-vsock, else what the set-up built).
 *
 * @throws `ERR_PROCESS_SPAWN` when the vsock card is not there.
 */
export function findPrograms(env: NodeJS.ProcessEnv = process.env): Programs {
  const vsockCard = env['CLOISTER_VSOCK_CARD'] ?? installed
  if (!existsSync(vsockCard)) {
    throw new CloisterError('ERR_PROCESS_SPAWN', `there is no vsock card at ${vsockCard}`, {
      details: { vsockCard },
    })
  }
  return { qemu: env['CLOISTER_QEMU'] ?? 'qemu-system-x86_64', vsockCard }
}
