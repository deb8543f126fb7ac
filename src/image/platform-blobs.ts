// What every image has in common: the kernel, its command line and the agent that is PID 1. They
// come from the blobs directory, which `npm run setup` fills.

import { realpath } from 'node:fs/promises'
import { join } from 'node:path'

import { check, type CloisterError, type ErrorCode } from '../errors.ts'
import type { Architecture, Content } from '../eif/index.ts'
import { openInputFile, readInputFile } from '../files/index.ts'
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

const CODE: ErrorCode = 'ERR_IMAGE_BLOBS'
/** A kernel's configuration has some 200 KiB. */
const MAX_TEXT_BYTES = 1024 * 1024

/**
 * Opens the blobs directory.
 * @throws ERR_IMAGE_BLOBS when a part is missing or the kernel is not an x86 bzImage
 */
export async function openPlatformBlobs(
  path: string,
  overrides: BlobOverrides = {},
): Promise<PlatformBlobs> {
  const kernel = overrides.kernel ?? join(path, 'bzImage')
  await checkKernel(kernel)
  const cmdline = overrides.cmdline ?? readOptional(join(path, 'cmdline'))?.trim()
  return {
    architecture: 'x86_64',
    kernel: await contentOf(kernel),
    init: await contentOf(overrides.init ?? join(path, 'init')),
    cmdline: cmdline ?? DEFAULT_CMDLINE,
    ...parseKernelConfig(readOptional(join(path, 'kernel.config')) ?? ''),
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
  await using file = await openInputFile(path, CODE)
  const setup = await file.source().read(0, SETUP_BYTES)
  for (const { offset, bytes } of [BOOT_FLAG, SETUP_MAGIC]) {
    const matches = bytes.every((byte, index) => setup[offset + index] === byte)
    check(matches, CODE, `${path} is not an x86 bzImage`, { details: { path } })
  }
}

/** The blobs may be links into a cache; file contents are read without following links. */
async function contentOf(path: string): Promise<Content> {
  await using file = await openInputFile(path, CODE)
  return fileContent(await realpath(path), file.size)
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
