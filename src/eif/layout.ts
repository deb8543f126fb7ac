// EIF version 4 in numbers: where the header's fields lie, which sections exist, what may be how
// long. From aws-nitro-enclaves-image-format 0.5.0 (README.md, src/defs/mod.rs).
// All integers in the file are big-endian.

export const EIF_VERSION = 4
/** ".eif" */
export const MAGIC = 0x2e656966
export const HEADER_BYTES = 548
export const SECTION_HEADER_BYTES = 12
export const MAX_SECTIONS = 32
/** Kernel, cmdline, metadata and one ramdisk. */
export const MIN_SECTIONS = 4

/** Byte offsets of the header's fields. */
export const HEADER = {
  magic: 0x000,
  version: 0x004,
  flags: 0x006,
  defaultMemory: 0x008,
  defaultCpus: 0x010,
  reserved: 0x018,
  sectionCount: 0x01a,
  sectionOffsets: 0x01c,
  sectionSizes: 0x11c,
  unused: 0x21c,
  crc32: 0x220,
} as const

/** Header flags, bit 0: set for aarch64. The other bits are zero. */
export const FLAG_AARCH64 = 1

export const SECTION_TYPES = {
  kernel: 1,
  cmdline: 2,
  ramdisk: 3,
  signature: 4,
  metadata: 5,
} as const

export type SectionType = keyof typeof SECTION_TYPES

/** The two machines that the format knows. */
export type Architecture = 'x86_64' | 'aarch64'

/** What AWS's writer puts into the two header fields that nobody uses: 1 GiB and 2 CPUs. */
export const DEFAULT_MEMORY_BYTES = 1024 ** 3
export const DEFAULT_CPUS = 2

/**
 * The longest section of each type that the reader holds in memory. The format limits only the
 * signature. AWS's tools write command lines far above what a kernel takes, and the whole description
 * of a container image into the metadata; these bounds are generous for both.
 */
export const MAX_BUFFERED_BYTES = {
  cmdline: 64 * 1024,
  metadata: 16 * 1024 * 1024,
  signature: 32768,
} as const

/** The longest command line that a kernel takes whole: COMMAND_LINE_SIZE without the NUL. */
export const MAX_KERNEL_CMDLINE_BYTES = 2047

/** Linux accepts an uncompressed cpio only at a multiple of this in the initramfs. */
export const RAMDISK_ALIGNMENT_BYTES = 4
