// Whether an image fits the memory it is given. The ramdisks are in memory twice while the kernel
// unpacks them, and the root file system they become may fill half of the memory (tmpfs(5)).

import type { EifSection } from '../eif/index.ts'
import { CloisterError } from '../errors.ts'

const MIB = 1024 * 1024
/** Kernel, agent and page tables. */
const BASE_MIB = 32
/** The same floor as the Nitro driver's. */
export const MIN_MEMORY_MIB = 64

/** @throws `ERR_KEEPER_MEMORY` with the size that would do. */
export function checkMemory(memoryMib: number, sections: readonly EifSection[]): void {
  const ramdiskBytes = sections
    .filter(({ type }) => type === 'ramdisk')
    .reduce((sum, { size }) => sum + size, 0)
  const neededMib = Math.max(MIN_MEMORY_MIB, BASE_MIB + Math.ceil((2 * ramdiskBytes) / MIB))
  if (memoryMib >= neededMib) return
  throw new CloisterError(
    'ERR_KEEPER_MEMORY',
    `${String(memoryMib)} MiB are too little: this image needs at least ${String(neededMib)} MiB`,
    {
      hint: `Use --memory ${String(neededMib)} or more.`,
      details: { memoryMib, neededMib, ramdiskBytes },
    },
  )
}
