// Opens an image file for the commands that read one.

import { inspectEif, readEif, type Eif, type EifInspection } from '../eif/index.ts'
import { openInputFile } from '../files/index.ts'
import { ManifestReader, type MeasuredManifest } from '../manifest/index.ts'

/** @throws ERR_EIF_UNREADABLE and every other ERR_EIF_* of the reader */
export async function readEifFile(path: string): Promise<Eif> {
  await using file = await openInputFile(path, 'ERR_EIF_UNREADABLE')
  return await readEif(file.source())
}

/** An inspected image, with its measured manifest if it has one. */
export interface ImageInspection extends EifInspection {
  readonly manifest: MeasuredManifest | undefined
}

/**
 * As {@link readEifFile}, of an image that is only shown, with its manifest: a wrong CRC or signature is
 * no error.
 */
export async function inspectEifFile(path: string): Promise<ImageInspection> {
  await using file = await openInputFile(path, 'ERR_EIF_UNREADABLE')
  const reader = new ManifestReader()
  const inspection = await inspectEif(file.source(), (section, chunk) => {
    reader.push(section, chunk)
  })
  return { ...inspection, manifest: reader.read(inspection.eif) }
}
