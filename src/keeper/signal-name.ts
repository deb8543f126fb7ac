// Signals of guests and parts, for a person.

import { constants } from 'node:os'

/** `signal 15 (SIGTERM)`; real-time signals have no name. */
export function signalName(signal: number): string {
  const [name] = Object.entries(constants.signals).find(([, number]) => number === signal) ?? []
  return `signal ${String(signal)}${name === undefined ? '' : ` (${name})`}`
}
