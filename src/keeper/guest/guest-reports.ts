// What the guest tells: that it lives, and how its app goes. All of it is the guest's own word.

import type { Socket } from 'node:net'
import { messageOf } from '../../errors.ts'
import { deferred } from '../../subprocess/index.ts'
import { AgentChannel, type AgentEvent } from './agent-channel.ts'
import type { LogChannel } from './log-channel.ts'
import { describeEvent, type Journal } from '../journal.ts'

/** The reports of one guest as promises, each of which settles at most once; none rejects. */
export class GuestReports {
  readonly channel: AgentChannel
  readonly #journal: Journal
  readonly #heartbeat = deferred<undefined>()
  readonly #appStarted = deferred<undefined>()
  readonly #lastWord = deferred<AgentEvent>()
  lastEvent: AgentEvent | undefined
  /** Takes the agent's second connection; absent where no line may leave. */
  logs: LogChannel | undefined

  /** @param configuration - For the agent, where there is one. */
  constructor(journal: Journal, configuration?: Uint8Array) {
    this.#journal = journal
    this.channel = new AgentChannel((event) => {
      this.#hear(event)
    }, configuration)
  }

  get heartbeat(): Promise<undefined> {
    return this.#heartbeat.promise
  }

  get appStarted(): Promise<undefined> {
    return this.#appStarted.promise
  }

  /** Settles when the agent has said how the app ended, or why it cannot start. */
  get lastWord(): Promise<AgentEvent> {
    return this.#lastWord.promise
  }

  readonly onHeartbeat = (): void => {
    this.#heartbeat.resolve(undefined)
  }

  /** Serves the agent's connection; a malformed message ends it, and the journal says so. */
  async listen(socket: Socket): Promise<void> {
    try {
      if (this.logs !== undefined && this.channel.isConnected) await this.logs.serve(socket)
      else await this.channel.serve(socket)
    } catch (error) {
      this.#journal.writeOfGuest(`the agent's connection was closed: ${messageOf(error)}`)
      throw error
    }
  }

  #hear(event: AgentEvent): void {
    this.lastEvent = event
    this.#journal.writeOfGuest(describeEvent(event))
    if (event.event === 'started') this.#appStarted.resolve(undefined)
    else this.#lastWord.resolve(event)
  }
}
