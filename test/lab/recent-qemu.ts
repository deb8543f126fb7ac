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

/** What starts it in the lab's host; like its other QEMU, on one processor. */
export const recentQemuInLab = '/usr/local/bin/recent-qemu'

/** A shell script that makes it. */
export function installInLab(): string {
  const script = String.raw`#!/bin/sh\nexec taskset -c 1 %s "$@"\n`
  return `printf '${script}' ${recentQemu()} >${recentQemuInLab} && chmod 755 ${recentQemuInLab}`
}
