// Documents from a program: Node cannot ask /dev/nsm by itself, which takes an ioctl.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Attest } from './attested-kms.ts'

/** AWS's limit on a response of the NSM. */
const MAX_DOCUMENT_BYTES = 0x3000
const TIMEOUT_MS = 120_000

/**
 * Runs a program that reads a public key and writes a document with it, e.g. `cloister-attest`. A nonce is given to it in
 * hexadecimal, after `--nonce`.
 */
export function attestWith(program: string, ...args: readonly string[]): Attest {
  return async (publicKey, nonce) => {
    const all =
      nonce === undefined ? args : [...args, '--nonce', Buffer.from(nonce).toString('hex')]
    const stdio = ['pipe', 'pipe', 'inherit'] as const
    const child = spawn(program, all, { stdio: [...stdio], timeout: TIMEOUT_MS })
    const ended = once(child, 'close') as Promise<[number | null]>
    child.stdin.on('error', () => undefined)
    child.stdin.end(publicKey)
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (Buffer.concat(chunks).length > MAX_DOCUMENT_BYTES) child.kill()
    })
    const [status] = await ended
    if (status !== 0) throw new Error(`${program} ended with status ${String(status)}`)
    return Uint8Array.from(Buffer.concat(chunks))
  }
}
