// An image, measured while it is copied: the bytes that QEMU gets are the bytes that were hashed.

import { checkMemory } from '../../enclaves/index.ts'
import { checkCertificateDates, readEif, type Eif, type SectionSink } from '../../eif/index.ts'
import { check } from '../../errors.ts'
import { openInputFile } from '../../files/index.ts'
import { cmdlineSuffix, looksForNsmCard } from '../../vmm/index.ts'
import { UnnamedFile } from './unnamed-file.ts'

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
  const kernel = new UnnamedFile(directory, 'kernel')
  const initrd = new UnnamedFile(directory, 'initrd')
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
