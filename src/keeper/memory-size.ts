// Whether an image fits the memory it is given. The ramdisks are in memory twice while the kernel
// unpacks them, and the root file system they become may fill half of the memory (tmpfs(5)).

import { CloisterError } from '../errors.ts'
import type { MeasuredImage } from './measured-image.ts'

const MIB = 1024 * 1024
/** Kernel, agent and page tables. */
const BASE_MIB = 32
/** The same floor as the Nitro driver's. */
export const MIN_MEMORY_MIB = 64

/** @throws `ERR_KEEPER_MEMORY` with the size that would do. */
export function checkMemory(
  memoryMib: number,
  { ramdiskBytes }: Pick<MeasuredImage, 'ramdiskBytes'>,
): void {
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
