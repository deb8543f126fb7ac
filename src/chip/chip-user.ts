// Whom the host chip's swtpm runs as: the first user of the range, whoever makes the chip.

import { canChangeUsers, uidRange, type Confinement } from '../subprocess/index.ts'

/** Our own user where we cannot change users. */
export function chipUser(canChange: boolean = canChangeUsers()): Confinement {
  return canChange ? { uid: uidRange().first } : {}
}
