// Ends a running enclave, or forgets one that has ended.

import { once } from 'node:events'
import { askKeeper } from './control-client.ts'
import type { EnclaveRecord } from './record.ts'
import { isAlive, type Registry } from './registry.ts'

/**
 * Ends the enclave and returns when nothing of it runs any more. An enclave that had ended already
 * is removed from the registry.
 *
 * @param graceMs - How long its app may take after SIGTERM.
 * @throws `ERR_KEEPER_CONTROL`
 */
export async function endEnclave(
  registry: Registry,
  record: EnclaveRecord,
  graceMs: number,
): Promise<void> {
  if (!isAlive(record)) {
    registry.remove(record)
    return
  }
  const socket = await askKeeper(registry.directory(record.id), { command: 'terminate', graceMs })
  socket.resume()
  if (!socket.closed) await once(socket, 'close')
}
