// Joins small chunks, so that an archive of many small files is not hashed and written in as many
// small steps.

const BATCH_BYTES = 1024 * 1024

/**
 * The same bytes in chunks of up to 1 MiB; a chunk that is longer is passed on as it is, or as a copy.
 * The chunks that come in need to be valid until the next one is asked for only.
 * @param memory - `reused`: a chunk is valid until the next one is asked for. Memory that is new for each
 * would be most of what a large image allocates.
 */
export async function* batch(
  chunks: AsyncIterable<Uint8Array>,
  memory: 'new' | 'reused' = 'new',
): AsyncGenerator<Uint8Array> {
  let buffer = new Uint8Array(BATCH_BYTES)
  let filled = 0
  for await (const chunk of chunks) {
    if (filled + chunk.length > BATCH_BYTES) {
      yield buffer.subarray(0, filled)
      if (memory === 'new') buffer = new Uint8Array(BATCH_BYTES)
      filled = 0
    }
    if (chunk.length >= BATCH_BYTES) {
      yield memory === 'new' ? Uint8Array.from(chunk) : chunk
      continue
    }
    buffer.set(chunk, filled)
    filled += chunk.length
  }
  yield buffer.subarray(0, filled)
}
