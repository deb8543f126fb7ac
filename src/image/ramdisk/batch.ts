// Joins small chunks, so that an archive of many small files is not hashed and written in as many
// small steps.

const BATCH_BYTES = 1024 * 1024

/** The same bytes in chunks of up to 1 MiB; a chunk that is longer is passed on as it is. */
export async function* batch(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let buffer = new Uint8Array(BATCH_BYTES)
  let filled = 0
  for await (const chunk of chunks) {
    if (filled + chunk.length > BATCH_BYTES) {
      yield buffer.subarray(0, filled)
      buffer = new Uint8Array(BATCH_BYTES)
      filled = 0
    }
    if (chunk.length >= BATCH_BYTES) {
      yield chunk
      continue
    }
    buffer.set(chunk, filled)
    filled += chunk.length
  }
  yield buffer.subarray(0, filled)
}
