// Small reads one after the other, from a window that is read at once: an archive of many small
// files has a header every few hundred bytes.

import type { ByteSource } from '../../files/index.ts'

const WINDOW_BYTES = 128 * 1024

/** The same bytes; a read that is shorter than the window comes from memory where it can. */
export function readAhead(source: ByteSource): ByteSource {
  let start = 0
  let window: Uint8Array = new Uint8Array()
  return {
    size: source.size,
    async read(offset, length) {
      if (length > WINDOW_BYTES / 2) return source.read(offset, length)
      const isInside = offset >= start && offset + length <= start + window.length
      if (isInside) return window.slice(offset - start, offset - start + length)
      const bytes = await source.read(offset, Math.min(WINDOW_BYTES, source.size - offset))
      start = offset
      window = bytes
      return bytes.slice(0, length)
    },
  }
}
