// The keeper's end of the network card's channel (cards/network/README.md).

import type { Duplex } from 'node:stream'
import { CloisterError } from '../errors.ts'
import { LineChannel, type LineMessage } from '../subprocess/index.ts'
import {
  parseRefusal,
  parseReport,
  parseTurnedAway,
  type NetworkRefusal,
  type NetworkReport,
  type TurnedAway,
} from './report.ts'

/** Asks a running network card. */
export class NetworkCardChannel {
  /** Takes what the card refuses, once for each destination. */
  onRefusal: (refusal: NetworkRefusal) => void = () => undefined
  /** Takes why a client of a published port was turned away, once for each port and reason. */
  onTurnedAway: (client: TurnedAway) => void = () => undefined
  readonly #channel: LineChannel

  constructor(channel: Duplex) {
    this.#channel = new LineChannel(channel, {
      onEvent: ({ event, refused, turnedAway }) => {
        if (event === 'refused') this.onRefusal(parseRefusal(refused))
        if (event === 'turnedAway') this.onTurnedAway(parseTurnedAway(turnedAway))
      },
      failed,
    })
  }

  /** @throws `ERR_NETWORK_CONTROL` */
  async report(): Promise<NetworkReport> {
    return parseReport(await this.#ask({ request: 'status' }))
  }

  /**
   * Names the resolvers to ask from now on.
   *
   * @throws `ERR_NETWORK_CONTROL`
   */
  async setResolvers(resolvers: readonly string[]): Promise<void> {
    await this.#ask({ request: 'setResolvers', resolvers })
  }

  async #ask(request: LineMessage): Promise<unknown> {
    const { result } = await this.#channel.ask(request)
    if (result === undefined) throw failed('it does not know such a request')
    return result
  }
}

function failed(reason: string): CloisterError {
  return new CloisterError('ERR_NETWORK_CONTROL', `the network card did not answer: ${reason}`)
}
