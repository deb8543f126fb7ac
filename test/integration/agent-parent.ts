// The parent of an enclave, as little of it as the agent needs: three sockets beside the vsock
// device. Heartbeats come back, GetRandom is answered, control messages are kept.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { Decoder } from 'cbor-x'

const GET_RANDOM = Buffer.from('\x69GetRandom', 'latin1')
const RANDOM_HEADER = Buffer.from('\xa1\x69GetRandom\xa1\x66random\x59\x01\x00', 'latin1')
const cbor = new Decoder({ useRecords: false, mapsAsObjects: true })

/** A control message of the agent: `event` and what belongs to it. */
export type AgentEvent = Readonly<Record<string, string | number>>

export interface ParentOptions {
  /** A signal, below 24, that the parent asks for as soon as the app runs. */
  readonly signal?: number
  /** The parent never closes the control stream. */
  readonly staysOpen?: boolean
  /** Ports that nobody serves. */
  readonly closedPorts?: readonly number[]
}

export class Parent {
  readonly events: AgentEvent[] = []
  nsmRequests = 0
  readonly #path: string
  readonly #options: ParentOptions
  readonly #servers: Server[] = []

  constructor(path: string, options: ParentOptions) {
    this.#path = path
    this.#options = options
  }

  async listen(): Promise<void> {
    await this.#serve(9000, (socket) => socket.once('data', (byte) => socket.end(byte)))
    await this.#serve(9001, (socket) => {
      onMessage(socket, (message) => {
        this.#answerNsm(socket, message)
      })
    })
    await this.#serve(9002, (socket) => {
      onMessage(socket, (message) => {
        this.#take(socket, cbor.decode(message) as AgentEvent)
      })
    })
  }

  close(): void {
    for (const server of this.#servers) server.close()
  }

  async #serve(port: number, handle: (socket: Socket) => void): Promise<void> {
    if (this.#options.closedPorts?.includes(port) === true) return
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy())
      handle(socket)
    })
    this.#servers.push(server)
    server.listen(`${this.#path}_${String(port)}`)
    await once(server, 'listening')
  }

  #answerNsm(socket: Socket, request: Buffer): void {
    this.nsmRequests += 1
    if (request.equals(GET_RANDOM)) send(socket, Buffer.concat([RANDOM_HEADER, randomBytes(256)]))
    else socket.destroy()
  }

  #take(socket: Socket, event: AgentEvent): void {
    this.events.push(event)
    const { signal, staysOpen = false } = this.#options
    const isLast = event['event'] !== 'started'
    if (isLast && !staysOpen) socket.end()
    if (!isLast && signal !== undefined) send(socket, signalRequest(signal))
  }
}

/** `{"request": "signal", "signal": n}` for signals below 24. */
function signalRequest(signal: number): Buffer {
  const text = Buffer.from('\xa2\x67request\x66signal\x66signal', 'latin1')
  return Buffer.concat([text, Buffer.from([signal])])
}

function send(socket: Socket, message: Buffer): void {
  const prefix = Buffer.alloc(4)
  prefix.writeUInt32BE(message.length)
  socket.write(Buffer.concat([prefix, message]))
}

function onMessage(socket: Socket, take: (message: Buffer) => void): void {
  let pending = Buffer.alloc(0)
  socket.on('data', (bytes) => {
    pending = Buffer.concat([pending, bytes])
    while (pending.length >= 4 && pending.length >= 4 + pending.readUInt32BE()) {
      const end = 4 + pending.readUInt32BE()
      take(pending.subarray(4, end))
      pending = pending.subarray(end)
    }
  })
}
