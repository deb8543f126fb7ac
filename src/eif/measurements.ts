// What an image measures to: aws-nitro-enclaves-image-format 0.5.0. Section data only, in file order; the
// header, the section headers, the metadata and the signature are in no PCR.

import { createHash, type Hash } from 'node:crypto'

import type { SectionType } from './layout.ts'
import { ParallelHash } from './parallel-hash.ts'

/** SHA-384. */
const PCR_BYTES = 48

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

/** An application ramdisk from this size on is worth a thread, which takes some 40 ms to start. */
const PARALLEL_BYTES = 64 * 1024 * 1024

/** Measures an image section by section, in file order. To be disposed of when it is not finished. */
export class ImageMeasurer implements Disposable {
  readonly #image = createHash('sha384')
  readonly #application = createHash('sha384')
  /** Has the application's hash instead, if it is large. */
  #thread: ParallelHash | undefined
  /** Splits off the image's hash when the first ramdisk of the application begins. */
  #boot: Hash | undefined
  #ramdisks = 0

  /** To be called before the section's first byte, with the section's size. */
  beginSection(type: SectionType, size: number): void {
    if (type !== 'ramdisk') return
    this.#ramdisks += 1
    if (this.#ramdisks !== 2) return
    this.#boot = this.#image.copy()
    if (size >= PARALLEL_BYTES) this.#thread = new ParallelHash()
  }

  /** Resolves when the chunk may be changed. */
  async update(type: SectionType, chunk: Uint8Array): Promise<void> {
    if (type === 'metadata' || type === 'signature') return
    const isApplication = type === 'ramdisk' && this.#ramdisks > 1
    if (isApplication) await this.#thread?.push(chunk)
    this.#image.update(chunk)
    if (!isApplication) this.#boot?.update(chunk)
    else if (this.#thread === undefined) this.#application.update(chunk)
  }

  async finish(): Promise<Pick<Measurements, 'pcr0' | 'pcr1' | 'pcr2'>> {
    const boot = this.#boot ?? this.#image.copy()
    const [pcr0, pcr1] = [finish(this.#image), finish(boot)]
    const application = this.#thread?.digest() ?? this.#application.digest()
    return { pcr0, pcr1, pcr2: measurementOf(new Uint8Array(await application)) }
  }

  [Symbol.dispose](): void {
    this.#thread?.[Symbol.dispose]()
  }
}

function finish(hash: Hash): Measurement {
  return measurementOf(new Uint8Array(hash.digest()))
}

function measurementOf(digest: Uint8Array): Measurement {
  return { digest, pcr: extend(digest) }
}

function extend(data: Uint8Array): Uint8Array {
  const start = new Uint8Array(PCR_BYTES)
  return new Uint8Array(createHash('sha384').update(start).update(data).digest())
}
