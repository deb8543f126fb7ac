// What an image measures to: aws-nitro-enclaves-image-format 0.5.0. Section data only, in file order; the
// header, the section headers, the metadata and the signature are in no PCR.

import { createHash, type Hash } from 'node:crypto'

import type { SectionType } from './layout.ts'

/** SHA-384. */
export const PCR_BYTES = 48

export interface Measurement {
  /** 48-byte SHA-384 digest of the measured bytes: what a PCR is extended with. */
  readonly digest: Uint8Array
  /** 48 bytes: the PCR after that one extension, `SHA384(0^48 || digest)`. */
  readonly pcr: Uint8Array
}

/** The measurements of an image, by the PCR that each is extended into. */
export interface Measurements {
  /** Kernel, cmdline and every ramdisk. */
  readonly pcr0: Measurement
  /** Kernel, cmdline and the first ramdisk: the platform without the application. */
  readonly pcr1: Measurement
  /** Every ramdisk but the first: the application. */
  readonly pcr2: Measurement
  /** The signing certificate (DER); absent when the image is unsigned. */
  readonly pcr8?: Measurement
}

/** The measurement of one byte string, as `nitro-cli pcr` makes it. */
export function measureBytes(bytes: Uint8Array): Measurement {
  return finish(createHash('sha384').update(bytes))
}

/** The measurement of a stream, as `nitro-cli pcr` makes it of a file. */
export async function measureStream(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<Measurement> {
  const hash = createHash('sha384')
  for await (const chunk of chunks) hash.update(chunk)
  return finish(hash)
}

/**
 * The value of PCR3 for an IAM role ARN, or of PCR4 for an instance id: the one rule that extends
 * with the text itself and not with its digest. 48 bytes.
 */
export function measureIdentity(text: string): Uint8Array {
  return extend(new TextEncoder().encode(text))
}

/** Measures an image section by section, in file order. */
export class ImageMeasurer {
  readonly #image = createHash('sha384')
  readonly #application = createHash('sha384')
  /** Splits off the image's hash when the first ramdisk of the application begins. */
  #boot: Hash | undefined
  #ramdisks = 0

  /** To be called before the section's first byte. */
  beginSection(type: SectionType): void {
    if (type !== 'ramdisk') return
    this.#ramdisks += 1
    if (this.#ramdisks === 2) this.#boot = this.#image.copy()
  }

  update(type: SectionType, chunk: Uint8Array): void {
    if (type === 'metadata' || type === 'signature') return
    this.#image.update(chunk)
    if (type === 'ramdisk' && this.#ramdisks > 1) this.#application.update(chunk)
    else this.#boot?.update(chunk)
  }

  finish(): Pick<Measurements, 'pcr0' | 'pcr1' | 'pcr2'> {
    const boot = this.#boot ?? this.#image.copy()
    return { pcr0: finish(this.#image), pcr1: finish(boot), pcr2: finish(this.#application) }
  }
}

function finish(hash: Hash): Measurement {
  const digest = new Uint8Array(hash.digest())
  return { digest, pcr: extend(digest) }
}

function extend(data: Uint8Array): Uint8Array {
  const start = new Uint8Array(PCR_BYTES)
  return new Uint8Array(createHash('sha384').update(start).update(data).digest())
}
