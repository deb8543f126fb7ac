// CRC-32/ISO-HDLC, the checksum of an EIF (aws-nitro-enclaves-image-format 0.5.0).

import { crc32 } from 'node:zlib'

/**
 * The CRC of `chunk` appended to bytes whose CRC is `crc` (0 for none). For no bytes node's own
 * function starts over: it hands zlib a null pointer, which asks zlib for the initial value.
 */
export function updateCrc32(crc: number, chunk: Uint8Array): number {
  return chunk.length === 0 ? crc : crc32(chunk, crc)
}
