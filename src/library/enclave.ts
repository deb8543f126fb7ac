// An enclave as a program holds it. Everything is read from the registry when it is asked for, so that it
// is true also after the enclave has ended, and of enclaves that others have started.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Socket } from 'node:net'
import {
  askVsock,
  changePorts,
  connectToPort,
  endEnclave,
  isAlive,
  readEvents,
  readLogs,
  untilEnd,
  vsockSocketPath,
  type EnclaveEnd,
  type EnclaveEvent,
  type EnclaveRecord,
  type EnclaveReport,
  type LogEntry,
  type MeasurementTexts,
  type Registry,
} from '../enclaves/index.ts'
import { check, CloisterError } from '../errors.ts'
import type { Publication } from '../network/index.ts'
import { noPorts, type PortLists } from '../vsock/index.ts'
import { checkOptions } from './check-options.ts'
import { defined } from './defined.ts'

/** How long an app may take to end after SIGTERM: that of `terminate-enclave`. */
const GRACE_MS = 2000

const WAIT_OPTIONS = { signal: 'an AbortSignal' } as const
const PORT_OPTIONS = { guestPorts: 'a string', parentPorts: 'a string' } as const

/** Which log lines. */
export interface LogOptions {
  /** Goes on with what comes, until the enclave has ended. */
  readonly follow?: boolean
  /** Leaves out what came earlier. */
  readonly since?: Date
}

export type EnclaveState = EnclaveRecord['state']

export interface WaitOptions {
  /** Ends the waiting, with its reason. */
  readonly signal?: AbortSignal
}

export interface ReportOptions {
  /** With every open vsock connection. */
  readonly connections?: boolean
}

export interface StopOptions {
  /** How long the app may take to end; 2000 by default. */
  readonly graceMs?: number
}

/** Disposing of it stops the enclave; its record stays for `listEnclaves({ all: true })`. */
export class Enclave implements AsyncDisposable {
  /** The module id of its documents. */
  readonly id: string
  readonly name: string
  /** The guest's CID. */
  readonly cid: number
  readonly #registry: Registry

  /** Not for callers: `runEnclave` and `listEnclaves` make them. */
  constructor(registry: Registry, { id, description }: EnclaveRecord) {
    this.#registry = registry
    this.id = id
    this.name = description.name
    this.cid = description.cid
  }

  /**
   * What is recorded of it at the moment.
   *
   * @throws CloisterError `ERR_KEEPER_NO_SUCH_ENCLAVE` when it was removed.
   */
  get record(): EnclaveRecord {
    return this.#registry.find(this.id, 'id')
  }

  get state(): EnclaveState {
    return this.record.state
  }

  /** PCR0 and so on in hexadecimal, as they were measured; empty before the image was. */
  get measurements(): MeasurementTexts {
    const { record } = this
    return 'image' in record ? record.image.measurements : {}
  }

  /** Ports that `publish` has published, and where; none before it runs. */
  get published(): readonly Publication[] {
    const { record } = this
    return ('published' in record && record.published) || []
  }

  /** The Unix socket through which programs of this host reach the guest. */
  get vsockSocket(): string {
    return vsockSocketPath(this.#directory)
  }

  get #directory(): string {
    return this.#registry.directory(this.id)
  }

  /**
   * Connects to a port of the guest, once something listens there.
   *
   * @param timeoutMs - How long to try; once by default.
   * @throws CloisterError `ERR_VSOCK_CONNECT`, which says whether the port is closed.
   */
  async connect(port: number, timeoutMs = 0): Promise<Socket> {
    return connectToPort(this.#registry, this.record, { port, timeoutMs })
  }

  /**
   * Ports, traffic, the network, and what the NSM was asked.
   *
   * @throws CloisterError `ERR_KEEPER_CONTROL`
   */
  async report(options: ReportOptions = {}): Promise<EnclaveReport> {
    checkOptions('report', options, { connections: 'a boolean' })
    const { connections = false } = options
    return askVsock(this.#directory, connections)
  }

  /**
   * Opens ports, as lists such as `8000,9100-9110`.
   *
   * @throws CloisterError `ERR_VSOCK_PORTS`, `ERR_KEEPER_CONTROL`
   */
  async openPorts(ports: Partial<PortLists>): Promise<void> {
    checkOptions('openPorts', ports, PORT_OPTIONS)
    await changePorts(this.#directory, { command: 'open-ports', ...noPorts, ...ports })
  }

  /**
   * Closes ports; connections on them are reset.
   *
   * @throws CloisterError `ERR_VSOCK_PORTS`, `ERR_KEEPER_CONTROL`
   */
  async closePorts(ports: Partial<PortLists>): Promise<void> {
    checkOptions('closePorts', ports, PORT_OPTIONS)
    await changePorts(this.#directory, { command: 'close-ports', ...noPorts, ...ports })
  }

  /**
   * Waits until it has ended, and says why.
   *
   * @throws The reason of the signal.
   */
  async ended(options: WaitOptions = {}): Promise<EnclaveEnd> {
    checkOptions('ended', options, WAIT_OPTIONS)
    const { signal } = options
    return (await untilEnd(this.#registry, this.record, { signal })).end
  }

  /** What has happened to it, and what happens until it has ended or the signal aborts. */
  events(options: WaitOptions = {}): AsyncGenerator<EnclaveEvent> {
    checkOptions('events', options, WAIT_OPTIONS)
    return this.#events(readEvents(this.#registry, { follow: true, ...options }))
  }

  /** Its own, until it has ended. */
  async *#events(all: AsyncIterable<EnclaveEvent>): AsyncGenerator<EnclaveEvent> {
    for await (const event of all) {
      if (event.enclaveId !== this.id) continue
      yield event
      if (event.event === 'ended' || event.event === 'removed') return
    }
  }

  /**
   * The log lines that its manifest declares.
   *
   * @throws CloisterError `ERR_KEEPER_NO_LOGS`
   */
  logs(options: LogOptions = {}): AsyncGenerator<LogEntry> {
    checkOptions('logs', options, { follow: 'a boolean', since: 'a Date' })
    const { follow, since } = options
    const chosen = defined({ follow, sinceMs: since?.getTime() })
    return readLogs(this.#registry, this.record, chosen)
  }

  /**
   * Ends it: SIGTERM for its app, and the end of everything after the grace. One that has ended stays
   * as it is.
   *
   * @throws CloisterError `ERR_KEEPER_STOP`
   */
  async stop(options: StopOptions = {}): Promise<void> {
    checkOptions('stop', options, { graceMs: 'a whole number' })
    const { graceMs = GRACE_MS } = options
    const record = this.#recordIfAny()
    if (record === undefined || !isAlive(record)) return
    await endEnclave(this.#registry, record, graceMs)
    // Its keeper writes the end down before it goes.
    while (this.#recordIfAny()?.state === 'TERMINATING') await sleep(5)
  }

  /**
   * Removes its record.
   *
   * @throws CloisterError `ERR_KEEPER_STOP` while it has not ended.
   */
  remove(): void {
    const record = this.#recordIfAny()
    if (record === undefined) return
    const options = { hint: 'Call stop() first.' }
    check(!isAlive(record), 'ERR_KEEPER_STOP', `${this.name} has not ended`, options)
    this.#registry.remove(record)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #recordIfAny(): EnclaveRecord | undefined {
    try {
      return this.record
    } catch (error) {
      if (error instanceof CloisterError && error.code === 'ERR_KEEPER_NO_SUCH_ENCLAVE')
        return undefined
      throw error
    }
  }
}
