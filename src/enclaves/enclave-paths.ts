// What lies where in an enclave's directory.

import { join } from 'node:path'
import { reservedPorts, SUN_PATH_MAX_BYTES } from '../vsock/index.ts'

/** Where and as what a new enclave lives. */
export interface Place {
  readonly directory: string
  readonly id: string
  readonly name: string
  readonly cid: number
}

/** Where the vsock card runs; it belongs to its user. */
export function vsockDirectory(directory: string): string {
  return join(directory, 'vsock')
}

/** Where the NSM card runs; it belongs to its user. */
export function nsmDirectory(directory: string): string {
  return join(directory, 'nsm')
}

/** Where the network card runs; it belongs to its user. */
export function networkDirectory(directory: string): string {
  return join(directory, 'network')
}

/** The host's end of the enclave's vsock. */
export function vsockSocketPath(directory: string): string {
  return join(vsockDirectory(directory), 'vsock.sock')
}

/** As long as every id: an instance's with 17 digits, an enclave's with 16. */
const ANY_ID = `i-${'0'.repeat(17)}-enc${'0'.repeat(16)}`

/** By how many bytes a runtime directory is too long for the sockets that every enclave has below it. */
export function excessOfSocketPath(runtime: string): number {
  const directory = join(runtime, 'enclaves', ANY_ID)
  const longest = `${vsockSocketPath(directory)}_${String(reservedPorts.heartbeat)}`
  return Math.max(0, Buffer.byteLength(longest) - SUN_PATH_MAX_BYTES)
}

/** The state of the enclave's virtual TPM. */
export function tpmDirectory(directory: string): string {
  return join(directory, 'tpm')
}

/** Where the keeper answers requests about its enclave. */
export function keeperSocketPath(directory: string): string {
  return join(directory, 'keeper.sock')
}

export const JOURNAL_FILE = 'journal.log'

/** What happened to the enclave, one line each; it stays after the end. */
export function journalPath(directory: string): string {
  return join(directory, JOURNAL_FILE)
}

export const CONSOLE_FILE = 'console.log'

/** Where the console of an ended debug enclave is saved. */
export function savedConsolePath(directory: string): string {
  return join(directory, CONSOLE_FILE)
}

export const LOG_FILE = 'log.jsonl'
export const OLDER_LOG_FILE = 'log.1.jsonl'

/** Lines of the app that its manifest lets leave; absent where it lets none. */
export function logPath(directory: string): string {
  return join(directory, LOG_FILE)
}

/** What was there before the log was begun anew. */
export function olderLogPath(directory: string): string {
  return join(directory, OLDER_LOG_FILE)
}
