// Writes an image into memory.

import {
  contentOfBytes,
  writeEif,
  type Architecture,
  type EifMetadata,
  type Measurements,
} from '../../../src/eif/index.ts'

export interface Parts {
  readonly architecture: Architecture
  readonly kernel: Uint8Array
  readonly cmdline: string
  readonly metadata: EifMetadata
  readonly ramdisks: readonly Uint8Array[]
}

export interface Written {
  readonly bytes: Uint8Array
  readonly measurements: Measurements
}

export async function writeToBytes(parts: Parts): Promise<Written> {
  const writes: { offset: number; bytes: Uint8Array }[] = []
  const { size, measurements } = await writeEif(
    {
      ...parts,
      kernel: contentOfBytes(parts.kernel),
      ramdisks: parts.ramdisks.map(contentOfBytes),
    },
    {
      write: (offset, bytes) => {
        writes.push({ offset, bytes })
        return Promise.resolve()
      },
    },
  )
  const bytes = new Uint8Array(size)
  for (const write of writes) bytes.set(write.bytes, write.offset)
  return { bytes, measurements }
}
