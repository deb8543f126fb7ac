// The vsock card of one enclave: its directory, its program, its process in the enclave's lifetime.

import { chownSync, mkdirSync } from 'node:fs'
import type { Lifetime } from '../process/index.ts'
import { startVsockCard, type VsockCard } from '../vsock/index.ts'
import { vsockDirectory, type Place } from './enclave-paths.ts'
import type { Journal } from './journal.ts'
import type { LaunchRequest } from './launch-request.ts'
import type { PartUsers } from './part-users.ts'
import { stageProgram } from './stage-program.ts'

export interface CardOptions {
  readonly request: LaunchRequest
  readonly place: Place
  readonly lifetime: Lifetime
  readonly users: PartUsers
  readonly journal: Journal
}

/** @throws `ERR_PROCESS_SPAWN`, `ERR_VSOCK_CARD` */
export async function startCard(options: CardOptions): Promise<VsockCard> {
  const { request, place, lifetime, users, journal } = options
  const directory = vsockDirectory(place.directory)
  mkdirSync(directory, { mode: 0o700 })
  const { uid } = users.vsockCard
  if (uid !== undefined) chownSync(directory, uid, uid)
  const card = await startVsockCard({
    program: stageProgram(request.programs.vsockCard, directory, users.vsockCard),
    directory,
    guestCid: place.cid,
    confinement: users.vsockCard,
  })
  await lifetime.own(card.process)
  const { landlock, seccomp } = card.sandbox
  journal.write(
    `the vsock card is confined: Landlock ${landlock}, seccomp ${seccomp ? 'on' : 'off'}`,
  )
  return card
}
