// The three ways in which a layer is packed: image-spec layer.md, "tar", "tar+gzip", "tar+zstd".

import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'

import { CloisterError } from '../../errors.ts'
import type { Compression } from './compression.ts'
import { unpackZstd } from './zstd.ts'

/** Larger than zlib's 16 KiB, so that hashing and writing do not take as many small steps. */
const CHUNK_BYTES = 256 * 1024

type Write = (chunk: Uint8Array) => Promise<void>

/**
 * Unpacks `packed` into `write`, chunk by chunk; what `write` throws ends it.
 * @throws ERR_IMAGE_LAYER when the data is not what `compression` says
 */
export async function decompress(
  packed: AsyncIterable<Uint8Array>,
  compression: Compression,
  write: Write,
): Promise<void> {
  try {
    if (compression === 'none') await writeAll(packed, write)
    else if (compression === 'zstd') await unpackZstd(packed, write)
    else await unpackGzip(packed, write)
  } catch (cause) {
    if (cause instanceof CloisterError) throw cause
    throw new CloisterError('ERR_IMAGE_LAYER', `a layer is not ${compression} data`, { cause })
  }
}

async function writeAll(chunks: AsyncIterable<unknown>, write: Write): Promise<void> {
  for await (const chunk of chunks) await write(chunk as Uint8Array)
}

/** Of the errors at both ends of the pipe, the one that says what went wrong is ours. */
async function unpackGzip(packed: AsyncIterable<Uint8Array>, write: Write): Promise<void> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES })
  const ends = [pipeline(Readable.from(packed), gunzip), writeAll(gunzip, write)]
  const failures: unknown[] = (await Promise.allSettled(ends))
    .filter((end) => end.status === 'rejected')
    .map((end) => end.reason as unknown)
  if (failures.length > 0) throw failures.find((e) => e instanceof CloisterError) ?? failures[0]
}
