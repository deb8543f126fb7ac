// What happened to one enclave, to be read later: one line each, with its time. It stays
// beside the record after the end. A guest that causes many lines fills its part and no more: the rest
// is the host's. A disk that is full costs lines, not the enclave.

import { appendFileSync } from 'node:fs'
import { journalPath } from '../enclaves/index.ts'
import { messageOf } from '../errors.ts'
import type { NsmIncident } from '../nsm/index.ts'
import type { AgentEvent } from './guest/agent-channel.ts'
import { signalName } from './signal-name.ts'

const MAX_BYTES = 64 * 1024
/** Beyond it, only the host is heard. */
const GUEST_MAX_BYTES = 48 * 1024

/**
 * Appends dated lines to a journal of at most 64 KiB, 48 KiB of them for lines that the guest
 * caused. Writing never throws.
 */
export class Journal {
  readonly #path: string
  #size = 0
  #isGuestSilenced = false

  constructor(directory: string) {
    this.#path = journalPath(directory)
  }

  /** Takes a line of the host's own. */
  write(text: string): void {
    const line = dated(text)
    if (this.#size + Buffer.byteLength(line) <= MAX_BYTES) this.#append(line)
  }

  /** Takes a line that the guest caused. */
  writeOfGuest(text: string): void {
    if (this.#isGuestSilenced) return
    const line = dated(text)
    if (this.#size + Buffer.byteLength(line) <= GUEST_MAX_BYTES) {
      this.#append(line)
      return
    }
    this.#isGuestSilenced = true
    this.write('further lines of the guest are dropped')
  }

  #append(line: string): void {
    this.#size += Buffer.byteLength(line)
    try {
      appendFileSync(this.#path, line, { mode: 0o600 })
    } catch (error) {
      process.emitWarning(`the journal takes no line: ${messageOf(error)}`)
    }
  }
}

/** Last words of a part and names of an image are foreign: they cannot pass for a line of ours. */
function dated(text: string): string {
  const lines = text.replace(/[^\P{Cc}\n]/gu, '?').replaceAll('\n', '\n  | ')
  return `${new Date().toISOString()} ${lines}\n`
}

/** An incident of the NSM as the text of a journal line. */
export function describeIncident(incident: NsmIncident): string {
  if (incident.type === 'fault') {
    return `the NSM answered ${incident.request} with InternalError: ${messageOf(incident.error)}`
  }
  return `a document of ${incident.documentBytes} bytes left without TPM evidence, which did not fit`
}

/** An event of the agent as the text of a journal line. */
export function describeEvent(event: AgentEvent): string {
  switch (event.event) {
    case 'failed':
      return `the agent could not ${event.step}: ${event.error}`
    case 'started':
      return `the app started as process ${event.pid} of the guest`
    case 'exited':
      return `the app exited with status ${event.code}`
    case 'signaled':
      return `the app was killed by ${signalName(event.signal)}`
  }
}
