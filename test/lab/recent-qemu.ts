// The QEMU that `scripts/recent-qemu.sh` has put beside the system's. The lab's machine runs on it
// whatever the system's is, because its TCG takes a fifth less processor time than QEMU 7.2's.

import { realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { repository } from './repository.ts'

/** The program. */
export function recentQemu(): string {
  return realpathSync(join(repository, 'build/bin/recent-qemu'))
}

/** The directory with all of it. */
export function recentQemuDirectory(): string {
  return dirname(dirname(recentQemu()))
}
