// Each part of an enclave runs as a user of its own, so that none can signal, trace or open what
// belongs to another part or another enclave. No account is needed: the numbers come from a range
// that systemd's table of uids leaves unused, and the keeper's pid makes them unique in its PID
// namespace.

import { chipUser } from '../../chip/index.ts'
import {
  canChangeUsers,
  checkUnusedIds,
  uidRange,
  UIDS_PER_KEEPER,
  type Confinement,
} from '../../subprocess/index.ts'
import { kvmGroups, type Accelerator } from '../../vmm/index.ts'

export interface PartUsers {
  readonly qemu: Confinement
  readonly chip: Confinement
  readonly swtpm: Confinement
  readonly vsockCard: Confinement
  readonly nsmCard: Confinement
  readonly networkCard: Confinement
}

/**
 * A keeper that cannot change users runs its parts as its own. QEMU keeps the group that may open
 * /dev/kvm (`kvm` on Debian, mode 0660) when it is to use it.
 */
export function partUsers(
  accelerator: Accelerator,
  canChange: boolean = canChangeUsers(),
): PartUsers {
  if (!canChange)
    return { qemu: {}, chip: {}, swtpm: {}, vsockCard: {}, nsmCard: {}, networkCard: {} }
  const first = uidRange().first + 1 + process.pid * UIDS_PER_KEEPER
  return {
    qemu: { uid: first, groups: accelerator === 'kvm' ? kvmGroups() : [] },
    chip: chipUser(canChange),
    swtpm: { uid: first + 1 },
    vsockCard: { uid: first + 2 },
    nsmCard: { uid: first + 3 },
    networkCard: { uid: first + 4 },
  }
}

/**
 * Checks that no account or id range of this host has the users.
 *
 * @throws `ERR_KEEPER_USERS`
 */
export async function checkPartUsers(users: PartUsers): Promise<void> {
  const all = [
    users.qemu,
    users.chip,
    users.swtpm,
    users.vsockCard,
    users.nsmCard,
    users.networkCard,
  ]
  const ids = all.flatMap(({ uid }) => uid ?? [])
  if (ids.length > 0) await checkUnusedIds(ids)
}
