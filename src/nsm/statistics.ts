// How many requests an NSM has answered, how, and how long they took from their arrival to their
// answer, the wait for those before them included. What is held does not grow with their number.

import type { NsmErrorName, NsmRequest } from './protocol.ts'

/** Upper bounds of the histogram's buckets in seconds; a last one without a bound follows. */
export const LATENCY_BOUNDS_SECONDS = [
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1],
  ...[0.25, 0.5, 1, 2.5, 5, 10],
] as const

/** A request by its name; `Invalid` where it could not be decoded. */
export type RequestName = NsmRequest['type'] | 'Invalid'

export interface RequestStatistics {
  readonly request: RequestName
  /** By result: `Success`, or AWS's name of the error. */
  readonly results: Readonly<Partial<Record<'Success' | NsmErrorName, number>>>
  /** Of all together. */
  readonly seconds: number
  /** How many fell into each bucket of {@link LATENCY_BOUNDS_SECONDS}, and into the one behind them. */
  readonly buckets: readonly number[]
}

/** Counts requests by their names, which are few. */
export class RequestCounter {
  readonly #requests = new Map<RequestName, Mutable<RequestStatistics>>()

  count(request: RequestName, result: 'Success' | NsmErrorName, seconds: number): void {
    const known = this.#requests.get(request) ?? none(request)
    this.#requests.set(request, known)
    known.results[result] = (known.results[result] ?? 0) + 1
    known.seconds += seconds
    const bucket = LATENCY_BOUNDS_SECONDS.findIndex((bound) => seconds <= bound)
    const index = bucket === -1 ? LATENCY_BOUNDS_SECONDS.length : bucket
    known.buckets[index] = (known.buckets[index] ?? 0) + 1
  }

  /** A copy of what was counted so far. */
  get statistics(): readonly RequestStatistics[] {
    return structuredClone([...this.#requests.values()])
  }
}

type Mutable<T> = {
  -readonly [K in keyof T]: T[K] extends readonly (infer Item)[] ? Item[] : Writable<T[K]>
}
type Writable<T> = T extends object ? { -readonly [K in keyof T]: T[K] } : T

function none(request: RequestName): Mutable<RequestStatistics> {
  const buckets = Array<number>(LATENCY_BOUNDS_SECONDS.length + 1).fill(0)
  return { request, results: {}, seconds: 0, buckets }
}
