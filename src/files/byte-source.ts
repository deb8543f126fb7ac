// Where bytes come from and go to, at random access: an image of many GiB is never in memory, and the
// code that parses or writes one touches no file itself.

/** Bytes that can be read at any offset. */
export interface ByteSource {
  readonly size: number
  /** Of the file, for errors about its contents. */
  readonly name?: string
  /**
   * Exactly `length` bytes, in memory that the caller may keep: new memory, or the first bytes of `into`,
   * which a source may use if it is given.
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>
}

/** Bytes that can be written at any offset. */
export interface ByteSink {
  write(offset: number, bytes: Uint8Array): Promise<void>
}

/** What a source needs of an open file; `FileHandle` of node:fs/promises has it. */
interface ReadableFile {
  read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>
}

/** What a sink needs of an open file; `FileHandle` of node:fs/promises has it. */
interface WritableFile {
  write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesWritten: number }>
}

const CHUNK_BYTES = 1024 * 1024

/** A source over bytes in memory. A read beyond their end is short; each read returns a copy. */
export function sourceOfBytes(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: (offset, length) => Promise.resolve(bytes.slice(offset, offset + length)),
  }
}

/**
 * An open file of `size` bytes. A file that got shorter since then yields short reads.
 *
 * @param name - Of the file, for errors about its contents.
 */
export function sourceOfFile(file: ReadableFile, size: number, name?: string): ByteSource {
  return {
    size,
    ...(name !== undefined && { name }),
    async read(offset, length, into) {
      const bytes = into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(length)
      let filled = 0
      while (filled < length) {
        const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return bytes.subarray(0, filled)
    },
  }
}

/**
 * A sink that writes all bytes at their offset in an open file. Fails as write(2) does; the caller
 * closes the file.
 */
export function sinkToFile(file: WritableFile): ByteSink {
  return {
    async write(offset, bytes) {
      let done = 0
      while (done < bytes.length) {
        const position = offset + done
        done += (await file.write(bytes, done, bytes.length - done, position)).bytesWritten
      }
    },
  }
}

/** The bytes of a range, in order, at most 1 MiB at a time. */
export function chunksOf(
  source: ByteSource,
  offset: number,
  length: number,
): AsyncGenerator<Uint8Array> {
  return readChunks(source, { offset, length })
}

/**
 * The same, each chunk valid until the next one is asked for. To allocate a MiB for each MiB of a large file
 * takes longer than to read it.
 */
export function passingChunksOf(
  source: ByteSource,
  offset: number,
  length: number,
): AsyncGenerator<Uint8Array> {
  const memory = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, length))
  return readChunks(source, { offset, length }, memory)
}

async function* readChunks(
  source: ByteSource,
  { offset, length }: { readonly offset: number; readonly length: number },
  memory?: Uint8Array,
): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < length;) {
    const bytes = Math.min(CHUNK_BYTES, length - done)
    const chunk = await source.read(offset + done, bytes, memory)
    yield chunk
    if (chunk.length === 0) return
    done += chunk.length
  }
}
