// What every image has in common: the kernel, its command line and the agent that is PID 1. They
// come from the blobs directory, which `npm run setup` fills.

import { open, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'

import { CloisterError, check } from '../errors.ts'
import { sourceOfFile, type Architecture, type Content } from '../eif/index.ts'
import { fileContent } from './directory-source.ts'

export interface PlatformBlobs {
  readonly architecture: Architecture
  readonly kernel: Content
  readonly init: Content
  readonly cmdline: string
  /** From the kernel's configuration, "Unknown" when that is absent. */
  readonly operatingSystem: string
  readonly kernelVersion: string
}

export interface BlobOverrides {
  /** Path of a bzImage. */
  readonly kernel?: string
  /** Path of a static program. */
  readonly init?: string
  readonly cmdline?: string
}

/** Without a serial port, which only a debug enclave has, console=ttyS0 has no effect. */
export const DEFAULT_CMDLINE =
  'reboot=t panic=-1 console=ttyS0 virtio_mmio.device=512@0xfeb00e00:12'

/** Linux Documentation/arch/x86/boot.rst: the signature of a boot sector, then "HdrS". */
const BOOT_FLAG = { offset: 0x1fe, bytes: [0x55, 0xaa] } as const
const SETUP_MAGIC = { offset: 0x202, bytes: [0x48, 0x64, 0x72, 0x53] } as const
const SETUP_BYTES = 0x206

/**
 * Opens the blobs directory.
 * @throws ERR_IMAGE_BLOBS when a part is missing or the kernel is no x86 bzImage
 */
export async function openPlatformBlobs(
  path: string,
  overrides: BlobOverrides = {},
): Promise<PlatformBlobs> {
  const kernel = overrides.kernel ?? join(path, 'bzImage')
  await checkKernel(kernel)
  const cmdline = overrides.cmdline ?? (await readOptional(join(path, 'cmdline')))?.trim()
  return {
    architecture: 'x86_64',
    kernel: await contentOf(kernel),
    init: await contentOf(overrides.init ?? join(path, 'init')),
    cmdline: cmdline ?? DEFAULT_CMDLINE,
    ...parseKernelConfig((await readOptional(join(path, 'kernel.config'))) ?? ''),
  }
}

/** Line 3 is `# Linux/x86 6.12.107 Kernel Configuration`; the words that nitro-cli takes. */
export function parseKernelConfig(
  config: string,
): Pick<PlatformBlobs, 'operatingSystem' | 'kernelVersion'> {
  const words = (config.split('\n')[2] ?? '').split(/[ /-]/)
  return { operatingSystem: words[1] ?? 'Unknown', kernelVersion: words[3] ?? 'Unknown' }
}

async function checkKernel(path: string): Promise<void> {
  await using handle = await open(path).catch((cause: unknown) => {
    throw missing(path, cause)
  })
  const setup = await sourceOfFile(handle, SETUP_BYTES).read(0, SETUP_BYTES)
  for (const { offset, bytes } of [BOOT_FLAG, SETUP_MAGIC]) {
    const matches = bytes.every((byte, index) => setup[offset + index] === byte)
    check(matches, 'ERR_IMAGE_BLOBS', `${path} is not an x86 bzImage`, { details: { path } })
  }
}

async function contentOf(path: string): Promise<Content> {
  try {
    // The blobs may be links into a cache; file contents are read without following links.
    const target = await realpath(path)
    return fileContent(target, (await stat(target)).size)
  } catch (cause) {
    throw missing(path, cause)
  }
}

async function readOptional(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw missing(path, cause)
  })
}

function missing(path: string, cause: unknown): CloisterError {
  return new CloisterError('ERR_IMAGE_BLOBS', `cannot read ${path}`, { details: { path }, cause })
}
