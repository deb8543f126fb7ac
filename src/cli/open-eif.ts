// Opens an image file for the commands that read one.

import { inspectEif, readEif, type Eif, type EifInspection } from '../eif/index.ts'
import { openInputFile } from '../files/index.ts'

/** @throws ERR_EIF_UNREADABLE and every other ERR_EIF_* of the reader */
export async function readEifFile(path: string): Promise<Eif> {
  await using file = await openInputFile(path, 'ERR_EIF_UNREADABLE')
  return await readEif(file.source())
}

/** As {@link readEifFile}, of an image that is only shown: a wrong CRC or signature is no error. */
export async function inspectEifFile(path: string): Promise<EifInspection> {
  await using file = await openInputFile(path, 'ERR_EIF_UNREADABLE')
  return await inspectEif(file.source())
}
