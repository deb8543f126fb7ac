// Reasons why connections fail or ports are not served, for a command that serves them.

import { CloisterError, messageOf } from '../errors.ts'
import { printProgress } from './print.ts'

/** Distinct reasons that are printed. */
const MAX_TOLD = 64

/** Prints each reason once, however many connections fail for it. */
export function tellOnce(): (error: unknown) => void {
  const told = new Set<string>()
  return (error) => {
    const code = error instanceof CloisterError ? error.code : undefined
    const message = (code === undefined ? '' : `${code}: `) + messageOf(error)
    if (told.has(message) || told.size >= MAX_TOLD) return
    told.add(message)
    const what = code === 'ERR_VSOCK_LISTEN' ? 'A port is not served' : 'A connection failed'
    printProgress(`${what}: ${message}`)
    if (error instanceof CloisterError) printProgress(`What to do: ${error.hint}`)
  }
}
