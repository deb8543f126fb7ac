// Creates a file and tells in the same turn of the event loop. A signal may end the process between two
// turns, so an open that is awaited can leave a file of which nobody knows.

import { closeSync, openSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'

/** A file that is not there yet. */
export interface NewFile {
  readonly path: string
  /** Permission bits, less the umask; 0666 by default. */
  readonly mode?: number
  /** Called as soon as the file is there. */
  readonly made: () => void
}

/** Returns the file, open for reading and writing; rejects with the errors of open(2), `EEXIST` among them. */
export async function makeFile({ path, mode, made }: NewFile): Promise<FileHandle> {
  const descriptor = openSync(path, 'wx+', mode)
  try {
    made()
    // The same file, whatever has its name by now (proc(5), /proc/pid/fd).
    return await open(`/proc/self/fd/${String(descriptor)}`, 'r+')
  } finally {
    closeSync(descriptor)
  }
}
