// What happened to one enclave, for whoever asks later: one line each, with its time. It stays
// beside the record after the end. A guest that causes many lines fills it and no more, and a disk
// that is full costs lines, not the enclave.

import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import type { NsmIncident } from '../nsm/index.ts'
import type { AgentEvent } from './agent-channel.ts'

const MAX_BYTES = 64 * 1024

export const JOURNAL_FILE = 'journal.log'

export class Journal {
  readonly #path: string
  #size = 0

  constructor(directory: string) {
    this.#path = join(directory, JOURNAL_FILE)
  }

  write(text: string): void {
    const line = `${new Date().toISOString()} ${text}\n`
    const bytes = Buffer.byteLength(line)
    if (this.#size + bytes > MAX_BYTES) return
    this.#size += bytes
    try {
      appendFileSync(this.#path, line, { mode: 0o600 })
    } catch (error) {
      process.emitWarning(`the journal takes no line: ${messageOf(error)}`)
    }
  }
}

export function describeIncident(incident: NsmIncident): string {
  if (incident.type === 'fault') {
    return `the NSM answered ${incident.request} with InternalError: ${messageOf(incident.error)}`
  }
  return `a document of ${incident.documentBytes} bytes left without TPM evidence, which did not fit`
}

export function describeEvent(event: AgentEvent): string {
  switch (event.event) {
    case 'failed':
      return `the agent could not ${event.step}: ${event.error}`
    case 'started':
      return `the app started as process ${event.pid} of the guest`
    case 'exited':
      return `the app exited with status ${event.code}`
    case 'signaled':
      return `the app was killed by signal ${event.signal}`
  }
}
