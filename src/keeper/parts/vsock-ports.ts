// The vsock of a running enclave, for whoever asks its keeper: what goes on there, and which ports
// are open.

import type { Journal } from '../journal.ts'
import {
  policyTexts,
  type CardControl,
  type CardStatus,
  type PortPolicy,
  type Refusal,
  type VsockReport,
} from '../../vsock/index.ts'

/** What is open when an enclave starts. */
export interface Policies {
  readonly policy: PortPolicy
  /** The part of it that nobody can close. */
  readonly reserved: PortPolicy
}

export class EnclaveVsock {
  readonly #control: CardControl
  readonly #journal: Journal
  readonly #reserved: PortPolicy
  #policy: PortPolicy
  #lastChange: Promise<unknown> = Promise.resolve()

  constructor(control: CardControl, policies: Policies, journal: Journal) {
    this.#control = control
    this.#policy = policies.policy
    this.#reserved = policies.reserved
    this.#journal = journal
  }

  /** @throws `ERR_VSOCK_CONTROL` when the card does not answer within a moment. */
  async report(withConnections: boolean): Promise<VsockReport> {
    const [status, connectionList] = await Promise.all([
      this.#control.status(),
      withConnections ? this.#control.connections() : undefined,
    ])
    return connectionList === undefined ? status : { ...status, connectionList }
  }

  /**
   * Changes the policy, one change after the other; `change` gets what is open and what must stay so.
   * Connections on ports that are closed are reset.
   *
   * @throws `ERR_VSOCK_PORTS`, `ERR_VSOCK_CONTROL`; the policy then stays.
   */
  changePorts(
    change: (policy: PortPolicy, reserved: PortPolicy) => PortPolicy,
  ): Promise<CardStatus> {
    const changed = this.#lastChange.then(async () => {
      const policy = change(this.#policy, this.#reserved)
      const status = await this.#control.setPolicy(policy)
      this.#policy = policy
      const { parentPorts, guestPorts } = policyTexts(policy)
      this.#journal.write(`open by request: parent ports ${parentPorts}; guest ports ${guestPorts}`)
      return status
    })
    this.#lastChange = changed.catch(() => undefined)
    return changed
  }
}

/** For the journal: what was refused, and what to do about it. */
export function describeRefusal({ dialledBy, port, reason }: Refusal, enclaveName: string): string {
  const side = dialledBy === 'guest' ? 'parent' : 'guest'
  const what = `the ${dialledBy} dialled ${side} port ${String(port)}`
  switch (reason) {
    case 'closed':
      return `${what}, which is closed; \`cloister open-ports --enclave-name ${enclaveName} --${side}-ports ${String(port)}\` opens it, as does run-enclave's --${side}-ports`
    case 'unserved':
      return `${what}, where nobody listens; its socket is vsock.sock_${String(port)} beside vsock.sock`
    case 'denied':
      return `${what}, whose socket vsock.sock_${String(port)} the vsock card may not connect to; make it writable to other users (the directories above it are private)`
  }
}
