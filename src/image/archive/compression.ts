// Detects the compression of a layer or an archive from its first bytes: RFC 1952, RFC 8878,
// xz-file-format.txt, bzip2's "BZh".

import { CloisterError } from '../../errors.ts'

export type Compression = 'none' | 'gzip' | 'zstd'

const MAGICS: readonly (readonly [string, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['bzip2', [0x42, 0x5a, 0x68]],
]

export const MAGIC_BYTES = 8

/**
 * Detects the compression from the first {@link MAGIC_BYTES} bytes.
 * @throws ERR_IMAGE_LAYER for xz and bzip2
 */
export function compressionOf(start: Uint8Array): Compression {
  const match = MAGICS.find(([, magic]) => magic.every((byte, index) => start[index] === byte))
  const name = match?.[0] ?? 'none'
  if (name === 'none' || name === 'gzip' || name === 'zstd') return name
  throw new CloisterError('ERR_IMAGE_LAYER', `${name} compression is not supported`, {
    hint: `Unpack it with ${name} -d first.`,
  })
}
