// Looks into image files: compares two, and checks one against every platform's rules.

import {
  compareFiles,
  diffEifs,
  lintEif,
  type EifDifference,
  type FileDifference,
  type LintFinding,
} from '../../eif/index.ts'
import { openInputFile, type ByteSource } from '../../files/index.ts'
import { SQUASHFS_MEMBER } from '../ramdisk/ramdisks.ts'
import { findRootImage } from './root-image.ts'
import { listSquashfs } from './squashfs-list.ts'

/** Two images, and what differs in their root file systems where both are compressed. */
export interface ImageDifference extends EifDifference {
  /** Undefined when they are the same, or cannot be compared file by file. */
  readonly rootFiles?: readonly FileDifference[]
}

/** @throws ERR_EIF_* of the file that is not a valid image */
export async function diffImages(a: string, b: string): Promise<ImageDifference> {
  await using left = await openInputFile(a, 'ERR_EIF_UNREADABLE')
  await using right = await openInputFile(b, 'ERR_EIF_UNREADABLE')
  const difference = await diffEifs(left.source(), right.source())
  const rootFiles = await diffRoots(difference, left.source(), right.source())
  return { ...difference, ...(rootFiles && { rootFiles }) }
}

/** Neither image is looked into when the members are the same. */
async function diffRoots(
  { a, b, sections }: EifDifference,
  left: ByteSource,
  right: ByteSource,
): Promise<readonly FileDifference[] | undefined> {
  const files = sections.flatMap((section) => section.files ?? [])
  if (!files.some((file) => file.name === SQUASHFS_MEMBER && file.a && file.b)) return undefined
  const [leftRoot, rightRoot] = [
    await findRootImage(left, a.sections),
    await findRootImage(right, b.sections),
  ]
  const leftFiles = leftRoot && (await listSquashfs(leftRoot))
  const rightFiles = rightRoot && (await listSquashfs(rightRoot))
  return leftFiles && rightFiles && compareFiles(leftFiles, rightFiles)
}

/**
 * @param at - When the image is to be run.
 * @throws ERR_EIF_UNREADABLE; whatever is wrong with the image is a finding
 */
export async function lintImage(path: string, at: Date): Promise<readonly LintFinding[]> {
  await using file = await openInputFile(path, 'ERR_EIF_UNREADABLE')
  return await lintEif(file.source(), at)
}
