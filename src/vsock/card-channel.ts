// The keeper's end of the vsock card's channel (cards/vsock/README.md).

import type { Duplex } from 'node:stream'
import { fromData } from '../error-data.ts'
import { CloisterError } from '../errors.ts'
import { LineChannel, type LineMessage } from '../subprocess/index.ts'
import {
  parseCardConnections,
  parseCardStatus,
  parseRefusal,
  type CardConnection,
  type CardStatus,
  type Refusal,
} from './card-report.ts'
import type { PortLists } from './port-list.ts'

/** Sends requests to a running vsock card; several may wait for their replies at once. */
export class VsockCardChannel {
  /** Takes what the card refuses, see {@link Refusal}. */
  onRefusal: (refusal: Refusal) => void = () => undefined
  readonly #channel: LineChannel

  constructor(channel: Duplex) {
    this.#channel = new LineChannel(channel, {
      onEvent: (message) => {
        if (message['event'] === 'refused') this.onRefusal(parseRefusal(message))
      },
      failed,
    })
  }

  /** @throws `ERR_VSOCK_CONTROL` */
  async status(): Promise<CardStatus> {
    return parseCardStatus(await this.#ask({ request: 'status' }))
  }

  /** @throws `ERR_VSOCK_CONTROL` */
  async connections(): Promise<readonly CardConnection[]> {
    return parseCardConnections(await this.#ask({ request: 'connections' }))
  }

  /**
   * Opens ports beside those that are open.
   *
   * @param answerMs - How long the card may take.
   * @throws `ERR_VSOCK_PORTS`, `ERR_VSOCK_CONTROL`; what is open then stays as it was.
   */
  async openPorts({ parentPorts, guestPorts }: PortLists, answerMs?: number): Promise<CardStatus> {
    const request = { request: 'openPorts', parentPorts, guestPorts }
    return parseCardStatus(await this.#ask(request, answerMs))
  }

  /**
   * Closes all of these but the reserved ports; connections on ports that it closes are reset.
   *
   * @throws `ERR_VSOCK_PORTS`, `ERR_VSOCK_CONTROL`; what is open then stays as it was.
   */
  async closePorts({ parentPorts, guestPorts }: PortLists): Promise<CardStatus> {
    return parseCardStatus(await this.#ask({ request: 'closePorts', parentPorts, guestPorts }))
  }

  /** Hangs up, at which the card ends. */
  close(): void {
    this.#channel.close()
  }

  async #ask(request: LineMessage, answerMs?: number): Promise<unknown> {
    const { result, error } = await this.#channel.ask(request, answerMs)
    if (error !== undefined) throw refused(error)
    return result
  }
}

/** The card's own error: a text, or `{code, message}`. */
function refused(data: unknown): CloisterError {
  const { code, message, details } = fromData(data, 'ERR_VSOCK_CONTROL')
  const own = code === 'ERR_VSOCK_PORTS' ? code : 'ERR_VSOCK_CONTROL'
  return new CloisterError(own, `the vsock card refused: ${message}`, { details })
}

function failed(reason: string): CloisterError {
  return new CloisterError(
    'ERR_VSOCK_CONTROL',
    `the vsock card did not carry out a request: ${reason}`,
  )
}
