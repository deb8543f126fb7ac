// What every image has in common: the kernel, its command line and the agent that is PID 1. They
// come from the blobs directory, which `npm run setup` fills: the kernel `standard` is at its top.

import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { errorTable } from '../../error-table.ts'
import { check, CloisterError, withHint, type ErrorCode } from '../../errors.ts'
import type { Architecture, Content } from '../../eif/index.ts'
import { openInputFile, readInputFile } from '../../files/index.ts'
import { fileContent } from './blob-content.ts'
import {
  checkFlavour,
  kernelDirectory,
  parseKernelConfig,
  type KernelFlavour,
  type KernelLabels,
} from './kernel-flavour.ts'

export interface PlatformBlobs extends KernelLabels {
  readonly architecture: Architecture
  readonly kernel: Content
  readonly init: Content
  /** The program of the agent's companions, for images that ask for any; absent in blobs that lack it. */
  readonly companion?: Content
  readonly cmdline: string
  /** Whether they are Cloister's, not the user's own. */
  readonly isOwnInit: boolean
  readonly isOwnCmdline: boolean
}

export interface BlobOverrides {
  /** Which of the kernels in the directory; by default the one at its top. */
  readonly kernelFlavour?: KernelFlavour
  /** Path of a kernel. */
  readonly kernel?: string
  /** Path of a static program. */
  readonly init?: string
  readonly cmdline?: string
  /** x86_64 by default. */
  readonly architecture?: Architecture
}

/**
 * Without a serial port, which only a debug enclave has, console=ttyS0 has no effect. On a busy host an emulated timer is
 * late, which the kernel would take for a broken one (no_timer_check).
 */
export const DEFAULT_CMDLINE =
  'reboot=t panic=-1 console=ttyS0 virtio_mmio.device=512@0xfeb00e00:12 no_timer_check initramfs_options=size=80%'

interface Magic {
  readonly offset: number
  readonly bytes: readonly number[]
}

interface KernelFormat {
  readonly file: string
  readonly name: string
  readonly magics: readonly Magic[]
}

/**
 * Linux Documentation/arch/x86/boot.rst: the signature of a boot sector, then "HdrS";
 * arch/arm64/booting.rst: "ARM" and 0x64.
 */
const KERNELS: Readonly<Record<Architecture, KernelFormat>> = {
  x86_64: {
    file: 'bzImage',
    name: 'an x86 bzImage',
    magics: [
      { offset: 0x1fe, bytes: [0x55, 0xaa] },
      { offset: 0x202, bytes: [0x48, 0x64, 0x72, 0x53] },
    ],
  },
  aarch64: {
    file: 'Image',
    name: 'an arm64 Image',
    magics: [{ offset: 0x38, bytes: [0x41, 0x52, 0x4d, 0x64] }],
  },
}
const SETUP_BYTES = 0x206

const CODE: ErrorCode = 'ERR_IMAGE_BLOBS'
/** A kernel's configuration has some 200 KiB. */
const MAX_TEXT_BYTES = 1024 * 1024

/**
 * Opens the blobs directory.
 * @throws ERR_IMAGE_BLOBS when a part is missing, or the kernel is not of that architecture or flavour
 */
export async function openPlatformBlobs(
  path: string,
  overrides: BlobOverrides = {},
): Promise<PlatformBlobs> {
  const { architecture = 'x86_64' } = overrides
  const format = KERNELS[architecture]
  const kernels = kernelDirectory(path, overrides.kernelFlavour)
  const kernel = overrides.kernel ?? join(kernels, format.file)
  const advice = architecture === 'x86_64' ? undefined : FOREIGN
  await advising(overrides.kernel === undefined ? advice : KERNEL, checkKernel(kernel, format))
  // A kernel that was given by its path is not the one that the configuration describes.
  const config = overrides.kernel === undefined ? readConfig(kernels, format) : undefined
  const labels = parseKernelConfig(config ?? '')
  checkFlavour(kernel, overrides.kernelFlavour, labels)
  const companion = join(path, 'companion')
  const cmdline = overrides.cmdline ?? readOptional(join(path, 'cmdline'))?.trim()
  return {
    architecture,
    kernel: await fileContent(kernel, CODE),
    init: await advising(
      overrides.init === undefined ? advice : INIT,
      fileContent(overrides.init ?? join(path, 'init'), CODE),
    ),
    ...(existsSync(companion) && { companion: await fileContent(companion, CODE) }),
    cmdline: cmdline ?? DEFAULT_CMDLINE,
    isOwnInit: overrides.init === undefined,
    isOwnCmdline: overrides.cmdline === undefined,
    ...labels,
  }
}

const KERNEL = 'Give --kernel the path of a bzImage for x86_64, or of an Image for --arch aarch64.'
const INIT = 'Give --init the path of a static program.'
const FOREIGN =
  'Cloister builds a kernel and an agent for x86_64 only: give --kernel and --init for the other architecture, or a directory that has both with --blobs.'

/** An error about a missing or wrong part, with advice for that part; the code's where there is none. */
async function advising<T>(hint: string | undefined, operation: Promise<T>): Promise<T> {
  return operation.catch((error: unknown) => {
    if (!(error instanceof CloisterError)) throw error
    throw withHint(error, hint ?? errorTable[CODE].hint)
  })
}

/** Under our name, or under the one that nitro-cli's blobs have. */
function readConfig(kernels: string, { file }: KernelFormat): string | undefined {
  return (
    readOptional(join(kernels, 'kernel.config')) ?? readOptional(join(kernels, `${file}.config`))
  )
}

async function checkKernel(path: string, { name, magics }: KernelFormat): Promise<void> {
  await using file = await openInputFile(path, CODE)
  const setup = await file.source().read(0, SETUP_BYTES)
  for (const { offset, bytes } of magics) {
    const matches = bytes.every((byte, index) => setup[offset + index] === byte)
    check(matches, CODE, `${path} is not ${name}`, { details: { path } })
  }
}

function readOptional(path: string): string | undefined {
  try {
    return readInputFile(path, { code: CODE, maxBytes: MAX_TEXT_BYTES }).toString('utf8')
  } catch (error) {
    const cause = (error as CloisterError).cause as NodeJS.ErrnoException | undefined
    if (cause?.code === 'ENOENT') return undefined
    throw error
  }
}
