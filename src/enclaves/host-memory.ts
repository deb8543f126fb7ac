// How much memory this host can still give.

import { readFileSync } from 'node:fs'

/** `MemAvailable` of `/proc/meminfo` in MiB; 0 where it is not said. */
export function availableMemoryMib(): number {
  const [, kib = '0'] =
    /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8')) ?? []
  return Math.floor(Number(kib) / 1024)
}
