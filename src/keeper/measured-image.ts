// An image, measured while it is copied: the bytes that QEMU gets are the bytes that were hashed.

import { checkCertificateDates, readEif, type Eif, type SectionSink } from '../eif/index.ts'
import { check } from '../errors.ts'
import { openInputFile } from '../files/index.ts'
import { checkMemory } from './memory-size.ts'
import { SealedFile } from './sealed-file.ts'

/** Where QEMU's microvm puts its first virtio device, the vsock card, and its second, the NSM card. */
const VSOCK_CARD_PLACE = 'virtio_mmio.device=512@0xfeb00e00:12'
const NSM_CARD_PLACE = 'virtio_mmio.device=512@0xfeb00c00:11'

/**
 * AWS's command lines name no virtio-mmio device (on EC2 the device is found in another way) and
 * restart through a keyboard controller that a microvm does not have. For such an image this one
 * constant is appended, and nothing else ever is. Our own images name the vsock card's place
 * themselves, measured. A place where there is no card does no harm.
 */
const STOCK_IMAGE_CMDLINE_SUFFIX = ` ${VSOCK_CARD_PLACE} ${NSM_CARD_PLACE} reboot=t`

export interface MeasuredImage extends Disposable {
  readonly eif: Eif
  /** The EIF's command line, with the suffix for stock images where it is one. */
  readonly cmdline: string
  /** Whether the command line tells the kernel of the NSM card. */
  readonly looksForNsmCard: boolean
  /** Open for reading; closed on disposal. */
  readonly kernelFd: number
  /** All ramdisks in file order. */
  readonly initrdFd: number
}

/**
 * Reads, checks, measures and copies the EIF at `path` in one pass. An image that does not fit
 * `memoryMib` is refused by its section table, before anything of it is copied.
 *
 * @param directory - Private; the copies are made there without a name.
 * @throws `ERR_EIF_*` (also for a signature that is wrong or out of date), `ERR_KEEPER_MEMORY`,
 * `ERR_EIF_UNREADABLE` when the file cannot be read.
 */
export async function measureImage(
  path: string,
  directory: string,
  memoryMib: number,
): Promise<MeasuredImage> {
  const kernel = new SealedFile(directory, 'kernel')
  const initrd = new SealedFile(directory, 'initrd')
  try {
    const eif = await copyImage(path, { kernel, initrd, memoryMib })
    if (eif.signingCertificate !== undefined)
      checkCertificateDates(eif.signingCertificate, new Date())
    check(
      eif.architecture === 'x86_64',
      'ERR_KEEPER_IMAGE',
      `the image is for ${eif.architecture}`,
      {
        hint: 'Build the image for x86_64: only such machines are run so far.',
      },
    )
    const cmdline = eif.cmdline + cmdlineSuffix(eif.cmdline)
    return {
      eif,
      cmdline,
      looksForNsmCard: words(cmdline).includes(NSM_CARD_PLACE),
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

/** What is appended to an image's command line: nothing, or {@link STOCK_IMAGE_CMDLINE_SUFFIX}. */
export function cmdlineSuffix(cmdline: string): string {
  const isOurs = words(cmdline).some((word) => word.startsWith('virtio_mmio.device='))
  return isOurs ? '' : STOCK_IMAGE_CMDLINE_SUFFIX
}

function words(cmdline: string): readonly string[] {
  return cmdline.split(/\s+/)
}

interface Copies {
  readonly kernel: SealedFile
  readonly initrd: SealedFile
  readonly memoryMib: number
}

async function copyImage(path: string, { kernel, initrd, memoryMib }: Copies): Promise<Eif> {
  await using file = await openInputFile(path, 'ERR_EIF_UNREADABLE')
  const copy: SectionSink = (section, chunk) => {
    if (section.type === 'kernel') kernel.append(chunk)
    if (section.type === 'ramdisk') initrd.append(chunk)
  }
  return await readEif(file.source(), copy, (sections) => {
    checkMemory(memoryMib, sections)
  })
}
