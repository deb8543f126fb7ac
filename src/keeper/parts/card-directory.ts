// Where a card of one enclave runs, and what of its start the journal keeps.

import { chownSync, mkdirSync } from 'node:fs'
import type { LaunchRequest, Place } from '../../enclaves/index.ts'
import type { Card, Confinement, Lifetime } from '../../subprocess/index.ts'
import type { Journal } from '../journal.ts'
import type { PartUsers } from './part-users.ts'
import { stageProgram } from './stage-program.ts'

/** What starting a card takes. */
export interface CardLaunch {
  readonly request: LaunchRequest
  readonly place: Place
  readonly lifetime: Lifetime
  readonly users: PartUsers
  readonly journal: Journal
}

export interface CardHome {
  readonly program: string
  readonly directory: string
  readonly confinement: Confinement
}

/**
 * Makes the directory of a card, which belongs to the card's user, and puts its program where that
 * user can run it.
 *
 * @throws `ERR_PROCESS_SPAWN` when there is no such program.
 */
export function prepareCard(program: string, directory: string, user: Confinement): CardHome {
  mkdirSync(directory, { mode: 0o700 })
  if (user.uid !== undefined) chownSync(directory, user.uid, user.uid)
  return { program: stageProgram(program, directory, user), directory, confinement: user }
}

/** Makes the card end with the enclave, and notes how it is confined. */
export async function adoptCard(
  card: AsyncDisposable & Pick<Card, 'process' | 'sandbox'>,
  { lifetime, journal }: CardLaunch,
): Promise<void> {
  await lifetime.own(card)
  const { landlock, seccomp, privateRoot } = card.sandbox
  const root = privateRoot ? 'a root and a network of its own' : "the host's root and network"
  journal.write(
    `the ${card.process.name} is confined: Landlock ${landlock}, seccomp ${seccomp ? 'on' : 'off'}, ${root}`,
  )
}
