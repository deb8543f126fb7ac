// Each part of an enclave runs as a user of its own, so that none can signal, trace or open what
// belongs to another part or another enclave. No account is needed: the numbers come from a range
// that systemd's table of uids leaves unused, and the keeper's pid makes them unique on the host.

import type { Confinement } from '../process/index.ts'

/** systemd docs/UIDS-GIDS.md: 1879048192 to 2147483647 is unused. */
const FIRST_UID = 1_900_000_000
/** The host chip's swtpm: one user for all keepers, for they share its state. */
const CHIP_UID = FIRST_UID - 1
/** Linux's PID_MAX_LIMIT is 2^22, so this range ends before 2^31. */
const UIDS_PER_KEEPER = 4

export interface PartUsers {
  readonly qemu: Confinement
  readonly chip: Confinement
  readonly swtpm: Confinement
  readonly vsockDevice: Confinement
}

/** A keeper that is not root cannot change users; its parts then run as its own. */
export function partUsers(
  keeperPid: number = process.pid,
  uid: number = process.getuid?.() ?? 0,
): PartUsers {
  if (uid !== 0) return { qemu: {}, chip: {}, swtpm: {}, vsockDevice: {} }
  const first = FIRST_UID + keeperPid * UIDS_PER_KEEPER
  return {
    qemu: { uid: first },
    chip: { uid: CHIP_UID },
    swtpm: { uid: first + 1 },
    vsockDevice: { uid: first + 2 },
  }
}
