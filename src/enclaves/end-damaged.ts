// Ends an enclave whose record cannot be read. No process is signalled, because which processes are its
// own only the record says: its keeper is asked, which listens in the enclave's directory, and which
// writes a whole record when it has ended everything.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { CloisterError, withHint } from '../errors.ts'
import { isRunning } from '../subprocess/index.ts'
import { CLEAR_UP_MS } from './end-enclave.ts'
import { keeperSocketPath } from './enclave-paths.ts'
import { askKeeper } from './keeper-client.ts'
import type { EnclaveRecord } from './record.ts'
import type { Registry } from './registry.ts'

/**
 * Ends the enclave and returns its record, as its keeper wrote it.
 *
 * @param damage - The `ERR_KEEPER_RECORD` of this enclave.
 * @param graceMs - How long its app may take after SIGTERM.
 * @throws `damage` when no keeper listens in the directory; `ERR_KEEPER_STOP` when it does not end in time.
 */
export async function endDamaged(
  registry: Registry,
  id: string,
  { damage, graceMs }: { readonly damage: CloisterError; readonly graceMs: number },
): Promise<EnclaveRecord> {
  const deadline = AbortSignal.timeout(graceMs + CLEAR_UP_MS)
  const directory = registry.directory(id)
  try {
    const socket = await askKeeper(directory, { command: 'terminate', graceMs }, deadline)
    socket.resume()
    if (!socket.closed) await once(socket, 'close', { signal: deadline })
  } catch (cause) {
    if (!deadline.aborted) throw withHint(damage, `Its keeper has gone: remove ${directory}.`)
    throw new CloisterError('ERR_KEEPER_STOP', `the keeper of ${id} did not end it in time`, {
      cause,
      hint: `Its record is damaged, so that its processes are not known: \`fuser ${keeperSocketPath(directory)}\` shows the keeper, with which they end.`,
    })
  }
  const record = registry.find(id, 'id')
  // Its socket goes a moment before it does.
  while (isRunning(record.keeper) && !deadline.aborted) await sleep(5)
  return record
}
