// What lies where in an enclave's directory.

import { join } from 'node:path'

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

/** The host's end of the enclave's vsock. */
export function vsockSocketPath(directory: string): string {
  return join(vsockDirectory(directory), 'vsock.sock')
}

/** The state of the enclave's virtual TPM. */
export function tpmDirectory(directory: string): string {
  return join(directory, 'tpm')
}
