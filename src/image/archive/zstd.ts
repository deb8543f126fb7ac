// Unpacks zstd (RFC 8878) with libzstd, compiled to WebAssembly (zstddec). The library is synchronous
// and does not report errors: an error shows as a lack of progress. libzstd itself refuses a
// window above 128 MiB, as the zstd command does; memory is used as far as data is unpacked.

import { ZSTDDecoder } from 'zstddec/stream'

import { CloisterError, check } from '../../errors.ts'
import { Spool } from '../../files/index.ts'

/** ZSTD_WINDOWLOG_LIMIT_DEFAULT: 27. */
const MAX_WINDOW_BYTES = 128 * 1024 * 1024
const MAGIC = 0xfd2fb528
const CHUNK_BYTES = 128 * 1024
/** A skippable frame has 8 bytes and yields nothing; more empty results in a row are an error. */
const MAX_EMPTY_RESULTS = CHUNK_BYTES / 8 + 1

/**
 * Unpacks `packed` into `write`. The packed data goes to a temporary file first, so that its digest
 * is checked before any of it is unpacked.
 * @throws ERR_IMAGE_LAYER
 */
export async function unpackZstd(
  packed: AsyncIterable<Uint8Array>,
  write: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  await using spool = await Spool.create()
  for await (const chunk of packed) await spool.append(chunk)
  checkWindow(await spool.source().read(0, 18))
  const decoder = new ZSTDDecoder()
  await decoder.init()
  let empty = 0
  for (const chunk of decoder.decodeStreaming(spool.chunksSync(CHUNK_BYTES))) {
    empty = chunk.length === 0 ? empty + 1 : 0
    check(empty <= MAX_EMPTY_RESULTS, 'ERR_IMAGE_LAYER', 'a layer is damaged zstd data')
    if (chunk.length > 0) await write(chunk)
  }
}

/** Checks the first frame's window, so that the error can name its size; libzstd checks every frame. */
function checkWindow(start: Uint8Array): void {
  const window = windowBytes(start)
  if (window === undefined || window <= MAX_WINDOW_BYTES) return
  const message = `a zstd layer needs a window of ${String(window)} bytes`
  throw new CloisterError('ERR_IMAGE_LIMIT', message, {
    details: { window, limit: MAX_WINDOW_BYTES },
    hint: 'Pack the layer with a window of at most 128 MiB: without --long=28 or more.',
  })
}

/** RFC 8878 section 3.1.1.1: undefined where the header has no window descriptor. */
function windowBytes(start: Uint8Array): number | undefined {
  const bytes = Buffer.from(start)
  if (bytes.length < 6 || bytes.readUInt32LE(0) !== MAGIC) return undefined
  const isSingleSegment = ((bytes[4] ?? 0) & 0x20) !== 0
  if (isSingleSegment) return undefined
  const descriptor = bytes[5] ?? 0
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 7)
}
