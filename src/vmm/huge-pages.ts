// Memory of a guest in huge pages of 2 MiB, which the host's administrator has reserved (Linux
// Documentation/admin-guide/mm/hugetlbpage.rst). QEMU maps all of it at its start, so that a guest cannot run
// out of them later.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CloisterError } from '../errors.ts'

export const HUGE_PAGE_MIB = 2

const hostDirectory = '/sys/kernel/mm/hugepages/hugepages-2048kB'

/**
 * Refuses huge pages for a guest of this size where the host has too few, or it is not a whole number of them.
 *
 * @param directory - The kernel's figures for pages of 2 MiB.
 * @throws `ERR_VMM_HUGE_PAGES` with the command that reserves what is missing.
 */
export function checkHugePages(memoryMib: number, directory: string = hostDirectory): void {
  const needed = memoryMib / HUGE_PAGE_MIB
  if (!Number.isInteger(needed)) {
    const message = `${String(memoryMib)} MiB is not a multiple of ${String(HUGE_PAGE_MIB)} MiB, the size of a huge page`
    const hint = `Use --memory ${String(memoryMib + 1)}.`
    throw new CloisterError('ERR_VMM_HUGE_PAGES', message, { hint, details: { memoryMib } })
  }
  const total = readFigure(directory, 'nr_hugepages')
  const free = readFigure(directory, 'free_hugepages') - readFigure(directory, 'resv_hugepages')
  if (free >= needed) return
  const count = total + needed - Math.max(free, 0)
  throw new CloisterError(
    'ERR_VMM_HUGE_PAGES',
    `${String(memoryMib)} MiB are ${String(needed)} huge pages of ${String(HUGE_PAGE_MIB)} MiB, and this host has ${String(Math.max(free, 0))} free`,
    {
      details: { memoryMib, needed, free },
      hint: `Reserve them as root: \`sysctl vm.nr_hugepages=${String(count)}\`, or when the host boots with the kernel parameter hugepages=${String(count)}.`,
    },
  )
}

/** 0 where the kernel has no such pages. */
function readFigure(directory: string, name: string): number {
  try {
    return Number(readFileSync(join(directory, name), 'utf8'))
  } catch {
    return 0
  }
}
