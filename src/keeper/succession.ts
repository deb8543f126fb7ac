// One enclave after another under one name: every start has an id, a chip and a record of its own, and
// takes over the name and the CID of the one before. The registry always has one of them that has not
// ended, so that the name stays taken and a command finds whom to ask.

import { randomBytes } from 'node:crypto'
import {
  type AliveRecord,
  type EndCause,
  type LaunchRequest,
  type MeasurementTexts,
  type Registry,
  type StartingRecord,
} from '../enclaves/index.ts'
import type { Journal } from './journal.ts'
import { startingRecord } from './new-record.ts'
import { instanceIdOf } from './parts/chip.ts'
import { Restarts } from './restarts.ts'

/** How many ended enclaves of one succession are remembered, so that others are remembered too. */
const KEPT = 3

/** The enclaves of one launch request. */
export class Succession {
  readonly #registry: Registry
  readonly #request: LaunchRequest
  readonly #restarts: Restarts
  readonly #ended: AliveRecord[] = []
  /** What the first of them measured; the others are to be the same. */
  measurements: MeasurementTexts | undefined

  constructor(registry: Registry, request: LaunchRequest) {
    this.#registry = registry
    this.#request = request
    this.#restarts = new Restarts(request.description.restart ?? 'no')
  }

  /** The first enclave. @throws `ERR_KEEPER_CID`, `ERR_CHIP_*` */
  async first(): Promise<StartingRecord> {
    return this.#registry.claim(startingRecord(this.#request, await this.#newId()))
  }

  /**
   * Puts the record of the next start into the registry, where the restart rule asks for one. The record
   * of `ended` is to be finished then.
   *
   * @param ranMs - How long its app ran.
   * @throws As the file system does; then there is no next one.
   */
  async next(
    ended: AliveRecord,
    { cause, ranMs, journal }: Ended,
  ): Promise<StartingRecord | undefined> {
    const waitMs = this.#restarts.after(cause, ranMs)
    if (waitMs === undefined) return undefined
    const { description, restart } = ended
    const next: StartingRecord = {
      ...startingRecord({ ...this.#request, description }, await this.#newId()),
      restart: {
        count: (restart?.count ?? 0) + 1,
        previous: ended.id,
        notBefore: new Date(Date.now() + waitMs).toISOString(),
      },
    }
    this.#registry.succeed(ended, next)
    journal.write(`${cause.reason}; it is started again in ${String(waitMs)} ms, as ${next.id}`)
    this.#ended.push(ended)
    for (const old of this.#ended.splice(0, this.#ended.length - KEPT)) this.#registry.remove(old)
    return next
  }

  async #newId(): Promise<string> {
    const instance = await instanceIdOf(this.#request.directories.state)
    return `${instance}-enc${randomBytes(8).toString('hex')}`
  }
}

export interface Ended {
  readonly cause: EndCause
  readonly ranMs: number
  /** Of the enclave that has ended. */
  readonly journal: Journal
}
