// An image, measured while it is copied: the bytes that QEMU gets are the bytes that were hashed.

import { checkMemory, type MachineSize } from '../../enclaves/index.ts'
import {
  checkCertificateDates,
  checkCmdlineLength,
  MemoryMeter,
  readEif,
  type Eif,
  type SectionSink,
} from '../../eif/index.ts'
import { check } from '../../errors.ts'
import { ManifestReader, type MeasuredManifest } from '../../manifest/index.ts'
import { openInputFile } from '../../files/index.ts'
import { cmdlineSuffix, isStockImage, looksForNsmCard } from '../../vmm/index.ts'
import { UnnamedFile } from './unnamed-file.ts'

const MIB = 1024 * 1024
/** Contents are unpacked up to this many times the machine's memory, to name the memory needed. */
const MOST_UNPACKED_PER_MEMORY = 16

export interface MeasuredImage extends Disposable {
  readonly eif: Eif
  /** What the application declares of itself; absent when the image was built without a manifest. */
  readonly manifest: MeasuredManifest | undefined
  /** The EIF's command line, with the suffix for stock images where it is one. */
  readonly cmdline: string
  /** Whether it is an image of AWS's own tools. */
  readonly isStock: boolean
  /** Whether the command line tells the kernel of the NSM card. */
  readonly looksForNsmCard: boolean
  /** Open for reading; closed on disposal. */
  readonly kernelFd: number
  /** All ramdisks in file order. */
  readonly initrdFd: number
}

/**
 * Reads, checks, measures and copies the EIF at `path` in one pass. An image that will not be
 * unpacked whole in a machine of this size is refused.
 *
 * When `size.signal` aborts, it ends at the next chunk of 64 KiB or so.
 *
 * @param directory - Private; the copies are made there without a name.
 * @throws `ERR_EIF_*` (also for a signature that is wrong or out of date), `ERR_KEEPER_MEMORY`,
 * `ERR_EIF_UNREADABLE` when the file cannot be read.
 */
export async function measureImage(
  path: string,
  directory: string,
  size: MachineSize & { readonly signal?: AbortSignal },
): Promise<MeasuredImage> {
  const kernel = new UnnamedFile(directory, 'kernel')
  const initrd = new UnnamedFile(directory, 'initrd')
  try {
    const meter = new MemoryMeter(MOST_UNPACKED_PER_MEMORY * size.memoryMib * MIB)
    const manifest = new ManifestReader()
    const eif = await copyImage(path, { kernel, initrd, meter, manifest, ...size })
    if (eif.signingCertificate !== undefined)
      checkCertificateDates(eif.signingCertificate, new Date())
    check(
      eif.architecture === 'x86_64',
      'ERR_KEEPER_IMAGE',
      `the image is for ${eif.architecture}`,
      {
        hint: 'Build the image for x86_64: other architectures cannot be run yet.',
      },
    )
    const cmdline = eif.cmdline + cmdlineSuffix(eif.cmdline)
    checkCmdlineLength(cmdline)
    checkMemory(size, await meter.end(), cmdline)
    return {
      eif,
      manifest: manifest.read(eif),
      cmdline,
      isStock: isStockImage(eif.cmdline),
      looksForNsmCard: looksForNsmCard(cmdline),
      kernelFd: kernel.seal(),
      initrdFd: initrd.seal(),
      [Symbol.dispose]: () => {
        kernel[Symbol.dispose]()
        initrd[Symbol.dispose]()
      },
    }
  } catch (error) {
    kernel.abandon()
    initrd.abandon()
    throw error
  }
}

interface Copies {
  readonly kernel: UnnamedFile
  readonly initrd: UnnamedFile
  readonly meter: MemoryMeter
  readonly manifest: ManifestReader
  readonly memoryMib: number
  readonly signal?: AbortSignal
}

async function copyImage(path: string, copies: Copies): Promise<Eif> {
  const { kernel, initrd, meter, manifest, memoryMib, signal } = copies
  await using file = await openInputFile(path, 'ERR_EIF_UNREADABLE')
  const source = file.source()
  // What is larger than the machine is refused in the end; it is read on only to say why.
  const isCopied = source.size <= memoryMib * MIB
  const copy: SectionSink = async (section, chunk) => {
    signal?.throwIfAborted()
    if (isCopied && section.type === 'kernel') kernel.append(chunk)
    if (isCopied && section.type === 'ramdisk') initrd.append(chunk)
    manifest.push(section, chunk)
    await meter.push(section, chunk)
  }
  return await readEif(source, copy)
}
