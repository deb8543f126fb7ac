// The vsock card of one enclave: its directory, its program, its process in the enclave's lifetime,
// and what it tells.

import { chownSync, mkdirSync } from 'node:fs'
import type { Lifetime } from '../../subprocess/index.ts'
import {
  closedNsmCardPolicy,
  closedPolicy,
  openPorts,
  startVsockCard,
  type CardSandbox,
  type VsockCard,
} from '../../vsock/index.ts'
import { type LaunchRequest, type Place, vsockDirectory } from '../../enclaves/index.ts'
import { describeRefusal, EnclaveVsock } from './vsock-ports.ts'
import type { Journal } from '../journal.ts'
import type { PartUsers } from './part-users.ts'
import { stageProgram } from './stage-program.ts'

export interface CardOptions {
  readonly request: LaunchRequest
  readonly place: Place
  readonly lifetime: Lifetime
  readonly users: PartUsers
  readonly journal: Journal
}

export interface EnclaveCard {
  readonly card: VsockCard
  readonly vsock: EnclaveVsock
}

/** @throws `ERR_PROCESS_SPAWN`, `ERR_VSOCK_CARD`, `ERR_VSOCK_PATH`, `ERR_VSOCK_PORTS` */
export async function startCard(
  options: CardOptions & {
    /** Whether the NSM card serves the guest's NSM, and not port 9001. */
    readonly hasNsmCard: boolean
  },
): Promise<EnclaveCard> {
  const { request, place, lifetime, users, journal } = options
  const directory = vsockDirectory(place.directory)
  mkdirSync(directory, { mode: 0o700 })
  const { uid } = users.vsockCard
  if (uid !== undefined) chownSync(directory, uid, uid)
  const reserved = options.hasNsmCard ? closedNsmCardPolicy : closedPolicy
  const policy = openPorts(reserved, request.description.ports)
  const card = await startVsockCard({
    program: stageProgram(request.programs.vsockCard, directory, users.vsockCard),
    directory,
    guestCid: place.cid,
    policy,
    confinement: users.vsockCard,
  })
  await lifetime.own(card)
  journal.write(describeSandbox('vsock card', card.sandbox))
  card.control.onRefusal = (refusal) => {
    journal.writeOfGuest(describeRefusal(refusal, place.name))
  }
  return { card, vsock: new EnclaveVsock(card.control, { policy, reserved }, journal) }
}

export function describeSandbox(
  card: string,
  { landlock, seccomp, privateRoot }: Readonly<Record<keyof CardSandbox, unknown>>,
): string {
  const root =
    privateRoot === true ? 'a root and a network of its own' : "the host's root and network"
  return `the ${card} is confined: Landlock ${String(landlock)}, seccomp ${seccomp === true ? 'on' : 'off'}, ${root}`
}
