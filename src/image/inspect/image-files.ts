// Looks into image files: compares two, and checks one against every platform's rules.

import { diffEifs, lintEif, type EifDifference, type LintFinding } from '../../eif/index.ts'
import { openInputFile } from '../../files/index.ts'

/** @throws ERR_EIF_* of the file that is not a valid image */
export async function diffImages(a: string, b: string): Promise<EifDifference> {
  await using left = await openInputFile(a, 'ERR_EIF_UNREADABLE')
  await using right = await openInputFile(b, 'ERR_EIF_UNREADABLE')
  return await diffEifs(left.source(), right.source())
}

/**
 * @param at - When the image is to be run.
 * @throws ERR_EIF_UNREADABLE; whatever is wrong with the image is a finding
 */
export async function lintImage(path: string, at: Date): Promise<readonly LintFinding[]> {
  await using file = await openInputFile(path, 'ERR_EIF_UNREADABLE')
  return await lintEif(file.source(), at)
}
