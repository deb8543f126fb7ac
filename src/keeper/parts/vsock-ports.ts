// The vsock of a running enclave, for requests to its keeper: what goes on there, and which ports are
// open.

import type {
  CardStatus,
  PortLists,
  Refusal,
  VsockCardChannel,
  VsockKind,
  VsockReport,
} from '../../vsock/index.ts'
import type { LaunchDescription } from '../../enclaves/index.ts'
import type { Journal } from '../journal.ts'
import { shellWord } from '../../shell-word.ts'

const JOURNAL_PORTS_LENGTH = 256

/** Reports an enclave's vsock, and opens and closes its ports; changes are noted in the journal. */
export class EnclaveVsock {
  readonly #card: VsockCardChannel
  readonly #journal: Journal

  constructor(card: VsockCardChannel, journal: Journal) {
    this.#card = card
    this.#journal = journal
  }

  /** @throws `ERR_VSOCK_CONTROL` when the card does not answer within a moment. */
  async report(withConnections: boolean): Promise<VsockReport> {
    const [status, connectionList] = await Promise.all([
      this.#card.status(),
      withConnections ? this.#card.connections() : undefined,
    ])
    return connectionList === undefined ? status : { ...status, connectionList }
  }

  /** @throws `ERR_VSOCK_PORTS`, `ERR_VSOCK_CONTROL`; what is open then stays as it was. */
  async openPorts(ports: PortLists): Promise<CardStatus> {
    return this.#note(await this.#card.openPorts(ports))
  }

  /**
   * Connections on ports that are closed are reset.
   *
   * @throws `ERR_VSOCK_PORTS`, `ERR_VSOCK_CONTROL`; what is open then stays as it was.
   */
  async closePorts(ports: PortLists): Promise<CardStatus> {
    return this.#note(await this.#card.closePorts(ports))
  }

  #note(status: CardStatus): CardStatus {
    const { parentPorts, guestPorts } = status
    const [parent, guest] = [parentPorts, guestPorts].map(clipped)
    this.#journal.write(`open by request: parent ports ${parent}; guest ports ${guest}`)
    return status
  }
}

/** A list of 256 ranges would take a tenth of the journal. */
function clipped(ports: string): string {
  return ports.length <= JOURNAL_PORTS_LENGTH ? ports : `${ports.slice(0, JOURNAL_PORTS_LENGTH)}…`
}

/** Where programs written for AF_VSOCK are found as well. */
const programsListenAt: Readonly<Record<VsockKind, string>> = {
  card: '',
  host: ', and AF_VSOCK programs of this host listen at VMADDR_CID_ANY (or CID 1)',
  kernel: ', and AF_VSOCK programs of this host listen at VMADDR_CID_ANY (or CID 2)',
}

/** For the journal: what was refused, and what to do about it. */
export function describeRefusal(
  { dialledBy, port, reason }: Refusal,
  { name, vsock }: Pick<LaunchDescription, 'name' | 'vsock'>,
): string {
  const side = dialledBy === 'guest' ? 'parent' : 'guest'
  const what = `the ${dialledBy} dialled ${side} port ${String(port)}`
  switch (reason) {
    case 'closed':
      return `${what}, which is closed; \`cloister open-ports --enclave-name ${shellWord(name)} --${side}-ports ${String(port)}\` opens it, as does run-enclave's --${side}-ports`
    case 'unserved':
      return `${what}, where nobody listens; its socket is vsock.sock_${String(port)} beside vsock.sock${programsListenAt[vsock]}`
    case 'denied':
      return `${what}, whose socket vsock.sock_${String(port)} the vsock card may not connect to; make it writable to other users (the directories above it are private)`
  }
}
