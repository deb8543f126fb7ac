// The NSM card of one enclave (cards/nsm). After its first line its channel carries the guest's requests
// and our responses in turn, each behind its 4-byte big-endian length.

import { startCard, type Card, type Confinement } from '../subprocess/index.ts'

export interface NsmCardOptions {
  /** The cloister-nsm program. */
  readonly program: string
  /** A directory of its own, owned by the user it runs as. */
  readonly directory: string
  readonly confinement: Confinement
}

export type NsmCard = Card

/** @throws `ERR_PROCESS_SPAWN`, `ERR_NSM_CARD` when it does not come up. */
export function startNsmCard({
  program,
  directory,
  confinement,
}: NsmCardOptions): Promise<NsmCard> {
  return startCard({ name: 'NSM card', command: [program], directory, confinement })
}
