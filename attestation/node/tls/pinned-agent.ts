// An https.Agent that connects only to one public key. Certificate authorities and host names do not
// count: the key is the identity, and a verified document says whose it is.

import { createHash } from 'node:crypto'
import { Agent, type RequestOptions } from 'node:https'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { AttestationError } from '@cloister/attestation'

/** SHA-256 of a DER SubjectPublicKeyInfo, 64 lower-case hexadecimal digits. */
export type SpkiPin = string

const HANDSHAKE_TIMEOUT_MS = 30_000

/** Called when a connection is ready, or failed. */
type Ready = (error: Error | null, socket: Duplex) => void

/** An agent whose every connection is checked before a byte of a request is sent. */
export function createPinnedAgent(pin: SpkiPin): Agent {
  return new PinnedAgent(
    (socket) => {
      const actual = peerPin(socket)
      if (actual !== pin) throw keyMismatch(pin, actual)
    },
    { keepAlive: true, handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS },
  )
}

/**
 * Connects to any key and reports it: for the question that comes before there is a pin. No connection
 * outlives its request, not even one whose handshake ends after the agent was destroyed.
 */
export function createObservingAgent(observe: (pin: SpkiPin) => void, timeoutMs: number): Agent {
  const check = (socket: TLSSocket): void => {
    observe(peerPin(socket))
  }
  return new PinnedAgent(check, { keepAlive: false, handshakeTimeoutMs: timeoutMs })
}

/** An agent that has every connection checked on its own, over that connection itself. */
export function createCheckedAgent(check: Check, timeoutMs: number): CheckedAgent {
  return new PinnedAgent(check, { keepAlive: true, handshakeTimeoutMs: timeoutMs })
}

/** Makes a connection of an agent from {@link createCheckedAgent}, and closes it. */
export async function tryConnection(agent: CheckedAgent, { hostname, port }: URL): Promise<void> {
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const servername = isIP(host) === 0 ? host : ''
  const socket = await new Promise<Duplex>((resolve, reject) => {
    agent.createConnection({ host, port: port || '443', servername }, (error, connected) => {
      if (error) reject(error)
      else resolve(connected)
    })
  })
  socket.destroy()
}

/** Closes an agent's idle connections now, and every other one when its request is done. */
export function retireAgent(agent: Agent): void {
  if (agent instanceof PinnedAgent) agent.keepAlive = false
  for (const sockets of Object.values(agent.freeSockets)) {
    for (const socket of sockets ?? []) socket.destroy()
  }
}

/** SHA-256 of the key of the peer's certificate. */
export function spkiPinOf(spki: Uint8Array): SpkiPin {
  return createHash('sha256').update(spki).digest('hex')
}

interface PinnedAgentOptions {
  readonly keepAlive: boolean
  readonly handshakeTimeoutMs: number
}

/** Throws, or rejects, for a peer that is not the right one. */
type Check = (socket: TLSSocket) => unknown

export type CheckedAgent = PinnedAgent

class PinnedAgent extends Agent {
  /** Node's own property, read whenever a request is done. */
  declare keepAlive: boolean
  readonly #check: Check
  readonly #handshakeTimeoutMs: number

  constructor(check: Check, { keepAlive, handshakeTimeoutMs }: PinnedAgentOptions) {
    super({ keepAlive, maxCachedSessions: 0 })
    this.#check = check
    this.#handshakeTimeoutMs = handshakeTimeoutMs
  }

  /** The socket is handed over only after its certificate was checked. */
  override createConnection(options: RequestOptions, ready?: Ready): undefined {
    const socket = connect({ ...(options as ConnectionOptions), rejectUnauthorized: false })
    const timer = setTimeout(() => {
      settle(new AttestationError('ERR_TLS_ANSWER', 'the TLS handshake takes too long'))
      socket.destroy()
    }, this.#handshakeTimeoutMs)
    const settle = (error: Error | null): void => {
      clearTimeout(timer)
      socket.off('error', settle)
      ready?.(error, socket)
    }
    socket.once('error', settle)
    socket.once('secureConnect', () => {
      void this.#admit(socket).then(settle)
    })
  }

  /** What is wrong with the peer, whose connection is then closed. */
  async #admit(socket: TLSSocket): Promise<Error | null> {
    try {
      await this.#check(socket)
      return null
    } catch (error) {
      socket.destroy()
      return error as Error
    }
  }
}

/** The key at the other end of a connection. */
export function peerPin(socket: TLSSocket): SpkiPin {
  const certificate = socket.getPeerX509Certificate()
  if (!certificate) throw new AttestationError('ERR_TLS_ANSWER', 'the server has no certificate')
  return spkiPinOf(certificate.publicKey.export({ type: 'spki', format: 'der' }))
}

/** The error of a connection to another key. */
export function keyMismatch(expected: SpkiPin, actual: SpkiPin): AttestationError {
  const message = `the server's key is ${actual}, the document binds ${expected}`
  return new AttestationError('ERR_TLS_KEY_MISMATCH', message, { details: { expected, actual } })
}
