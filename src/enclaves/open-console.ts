// The console of a debug enclave, from its keeper or from where it was saved.

import { createReadStream, existsSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { CloisterError } from '../errors.ts'
import { savedConsolePath } from './enclave-paths.ts'
import { askKeeper } from './keeper-client.ts'
import { isAlive, type EnclaveRecord } from './record.ts'
import type { Registry } from './registry.ts'

/**
 * The console of an enclave: live while it runs, as it was saved once it has ended.
 *
 * @throws `ERR_KEEPER_NO_CONSOLE`, `ERR_KEEPER_CONTROL`
 */
export async function openConsole(registry: Registry, record: EnclaveRecord): Promise<Readable> {
  const { debug, name } = record.description
  if (!debug) throw noConsole(`${name} does not run in debug mode`)
  const directory = registry.directory(record.id)
  if (!isAlive(record)) return openSavedConsole(savedConsolePath(directory))
  try {
    return await askKeeper(directory, { command: 'console' })
  } catch (error) {
    // It may have ended since we looked.
    if (isAlive(registry.find(record.id, 'id'))) throw error
    return openSavedConsole(savedConsolePath(directory))
  }
}

function openSavedConsole(path: string): Readable {
  if (existsSync(path)) return createReadStream(path)
  throw noConsole('the keeper was killed before it saved the console')
}

function noConsole(reason: string): CloisterError {
  return new CloisterError('ERR_KEEPER_NO_CONSOLE', `no console: ${reason}`)
}
