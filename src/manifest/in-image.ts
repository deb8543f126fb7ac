// The manifest of an image: it is in `/cloister.yaml`, the first file of the application ramdisk, so
// that a reader of the image meets it early and PCR2 covers it.

import { FirstFile, findRamdisk, type Eif, type EifSection } from '../eif/index.ts'
import { check, CloisterError } from '../errors.ts'
import { chunksOf, openInputFile, type ByteSource } from '../files/index.ts'
import { decodeMeasured, type MeasuredManifest } from './measured.ts'

const FILE = 'cloister.yaml'
/** The agent reads no longer one either (enclave-images/agent/src/manifest.rs). */
const MAX_FILE_BYTES = 1024 * 1024
/** Counted from 0: the first one is the platform's. */
const APPLICATION_RAMDISK = 1

/** Collects the manifest while an image is read and measured. */
export class ManifestReader {
  /** Of each ramdisk with contents. */
  readonly #files = new Map<EifSection, FirstFile>()

  /** A sink of `readEif`. */
  push(section: EifSection, chunk: Uint8Array): void {
    if (section.type !== 'ramdisk') return
    const file = this.#files.get(section) ?? new FirstFile(FILE, MAX_FILE_BYTES)
    this.#files.set(section, file)
    file.push(chunk)
  }

  /**
   * Absent in images of other tools, and in ours that were built without one. All ramdisks become one
   * tree: where another member would be in the file's place, the image is refused.
   *
   * @param image - As it was read; ramdisks without contents count too.
   * @throws `ERR_EIF_MANIFEST`
   */
  read({ sections }: Pick<Eif, 'sections'>): MeasuredManifest | undefined {
    const ramdisks = sections.filter(({ type }) => type === 'ramdisk')
    for (const [index, section] of ramdisks.entries()) {
      const file = this.#files.get(section)
      const isElsewhere = file?.hasMatch === true && index !== APPLICATION_RAMDISK
      const problem = isElsewhere ? `it is in ramdisk ${String(index)}` : file?.problem
      check(problem === undefined, 'ERR_EIF_MANIFEST', `/${FILE} is ambiguous: ${problem ?? ''}`)
    }
    const application = ramdisks[APPLICATION_RAMDISK]
    const bytes = application && this.#files.get(application)?.bytes
    return bytes === undefined ? undefined : decodeMeasured(bytes)
  }
}

/**
 * The manifest of the image at `path`, before the image is measured: for defaults, never for what may
 * leave. What is wrong with the rest of the image is left to its real reader.
 *
 * @throws `ERR_EIF_UNREADABLE`, `ERR_EIF_MANIFEST`
 */
export async function peekManifest(path: string): Promise<MeasuredManifest | undefined> {
  await using input = await openInputFile(path, 'ERR_EIF_UNREADABLE')
  const source = input.source()
  const section = await findRamdisk(source, APPLICATION_RAMDISK).catch(ignoreMalformed)
  if (section === undefined) return undefined
  const file = new FirstFile(FILE, MAX_FILE_BYTES)
  for await (const chunk of chunksWithin(source, section)) {
    file.push(chunk)
    if (file.isComplete) break
  }
  return file.bytes === undefined ? undefined : decodeMeasured(file.bytes)
}

function chunksWithin(source: ByteSource, { offset, size }: EifSection): AsyncIterable<Uint8Array> {
  return chunksOf(source, offset, Math.min(size, 2 * MAX_FILE_BYTES))
}

function ignoreMalformed(error: unknown): undefined {
  if (error instanceof CloisterError && error.code.startsWith('ERR_EIF_')) return undefined
  throw error
}
