// What happens to the enclaves of a host, as events in the order of their time. They are read off the
// registry, whose records and journals are bounded: nobody has to listen for an event to be there, and
// none is lost when a keeper is killed.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { journalPath } from './enclave-paths.ts'
import { parseRefusalLine, type RecordedRefusal } from '../network/index.ts'
import { isAlive, type EnclaveEnd, type EnclaveRecord, type RestartFacts } from './record.ts'
import type { Registry } from './registry.ts'

/** How often the registry is looked at. */
const LOOK_MS = 200
/** A journal is no longer. */
const MAX_JOURNAL_BYTES = 64 * 1024

interface AnyEvent {
  /** RFC 3339; when it was noticed, for `terminating` and `removed`. */
  readonly time: string
  readonly enclaveId: string
  readonly enclaveName: string
}

export type EnclaveEvent = AnyEvent &
  (
    | { readonly event: 'starting'; readonly restart?: RestartFacts }
    /** Its app runs; so many ms after `starting`. */
    | { readonly event: 'running'; readonly startMs: number }
    | { readonly event: 'terminating' }
    | { readonly event: 'ended'; readonly end: EnclaveEnd }
    /** Forgotten: its start failed, or somebody removed an ended one. */
    | { readonly event: 'removed' }
    /** The rules of its network denied a destination, which is told once; `text` is the line of its journal. */
    | ({ readonly event: 'refused'; readonly text: string } & RecordedRefusal)
    /** Another line of its journal. */
    | { readonly event: 'note'; readonly text: string }
  )

export interface ReadEventsOptions {
  /** Go on with what happens. */
  readonly follow?: boolean
  /** Leaves out what was before: ms since 1970. */
  readonly sinceMs?: number
  /** Ends the following. */
  readonly signal?: AbortSignal
}

/** Every event of the enclaves in the registry so far; with `follow` also what happens from then on. */
export async function* readEvents(
  registry: Registry,
  { follow = false, sinceMs = 0, signal }: ReadEventsOptions = {},
): AsyncGenerator<EnclaveEvent> {
  const followers = new Map<string, Follower>()
  for (;;) {
    registry.settle()
    const events = look(registry, followers)
    const wanted = events.filter(({ time }) => Date.parse(time) >= sinceMs)
    yield* wanted.toSorted((a, b) => Date.parse(a.time) - Date.parse(b.time))
    if (!follow || signal?.aborted === true) return
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** What is new since the last look. */
function look(registry: Registry, followers: Map<string, Follower>): readonly EnclaveEvent[] {
  const records = registry.list()
  const gone = new Set(followers.keys())
  const events = records.flatMap((record) => {
    gone.delete(record.id)
    const follower = followers.get(record.id) ?? new Follower(registry.directory(record.id), record)
    followers.set(record.id, follower)
    return follower.look(record)
  })
  const removed = [...gone].flatMap((id) => {
    const follower = followers.get(id)
    followers.delete(id)
    return follower === undefined ? [] : [follower.removed()]
  })
  return [...events, ...removed]
}

/** One enclave, and what of it was told. */
class Follower {
  readonly #journal: JournalReader
  readonly #who: Omit<AnyEvent, 'time'>
  readonly #told = new Set<EnclaveEvent['event']>()

  constructor(directory: string, { id, description }: EnclaveRecord) {
    this.#journal = new JournalReader(journalPath(directory))
    this.#who = { enclaveId: id, enclaveName: description.name }
  }

  look(record: EnclaveRecord): readonly EnclaveEvent[] {
    const notes = this.#journal.more().map((note) => ({ ...this.#who, ...eventOf(note) }))
    const changes = changesOf(record)
      .filter(({ event }) => !this.#told.has(event))
      .map((change) => ({ ...this.#who, ...change }))
    for (const { event } of changes) this.#told.add(event)
    return [...changes, ...notes]
  }

  removed(): EnclaveEvent {
    return { ...this.#who, time: new Date().toISOString(), event: 'removed' }
  }
}

type Change = EnclaveEvent extends infer Event
  ? Event extends EnclaveEvent
    ? Omit<Event, 'enclaveId' | 'enclaveName'>
    : never
  : never

/** What its record says has happened by now. */
function changesOf(record: EnclaveRecord): readonly Change[] {
  const { createdAt, restart } = record
  const changes: Change[] = [
    { time: createdAt, event: 'starting', ...(restart !== undefined && { restart }) },
  ]
  const startedAt = 'startedAt' in record ? record.startedAt : undefined
  if (startedAt !== undefined) {
    const startMs = Date.parse(startedAt) - Date.parse(createdAt)
    changes.push({ time: startedAt, event: 'running', startMs })
  }
  if (record.state === 'TERMINATING')
    changes.push({ time: new Date().toISOString(), event: 'terminating' })
  if (!isAlive(record)) changes.push({ time: record.end.at, event: 'ended', end: record.end })
  return changes
}

interface Note {
  readonly time: string
  readonly text: string
}

function eventOf(note: Note): Change {
  const refusal = parseRefusalLine(note.text)
  return refusal === undefined
    ? { ...note, event: 'note' }
    : { ...note, event: 'refused', ...refusal }
}

/** Reads what is added to a journal. */
class JournalReader {
  readonly #path: string
  #offset = 0

  constructor(path: string) {
    this.#path = path
  }

  /** The whole lines that are new; a line that belongs to the one before is part of its text. */
  more(): readonly Note[] {
    const text = this.#read()
    const whole = text.slice(0, text.lastIndexOf('\n') + 1)
    this.#offset += Buffer.byteLength(whole, 'latin1')
    const lines = Buffer.from(whole, 'latin1')
      .toString('utf8')
      .split(/\n(?! {2}\| )/)
    return lines.flatMap((line) => {
      const [, time, rest] = /^(\S+Z) ([^]*)$/.exec(line) ?? []
      if (time === undefined || rest === undefined || Number.isNaN(Date.parse(time))) return []
      return [{ time, text: rest.replace(/\n {2}\| /g, '\n').trimEnd() }]
    })
  }

  /** In Latin-1, of which every byte is a character. */
  #read(): string {
    let fd: number
    try {
      fd = openSync(this.#path, 'r')
    } catch {
      return '' // there is none yet, or none any more
    }
    try {
      const length = Math.min(fstatSync(fd).size, MAX_JOURNAL_BYTES) - this.#offset
      if (length <= 0) return ''
      const bytes = Buffer.alloc(length)
      return bytes.toString('latin1', 0, readSync(fd, bytes, 0, length, this.#offset))
    } finally {
      closeSync(fd)
    }
  }
}
