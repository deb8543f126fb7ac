// A directory that is complete or absent, however many processes make it at once: each builds its
// own beside it and renames; rename(2) lets one win, and the others throw theirs away. What is in it
// is on the disk before it has its name, so a host that loses power keeps all of it or nothing.

import { lstat, mkdir, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** A staging directory this old was left by a process that was killed. */
const ABANDONED_AFTER_MS = 10 * 60 * 1000

/** Fills `directory` (0700) with `build` unless it is there already. */
export async function makeDirectoryOnce(
  directory: string,
  build: (staging: string) => Promise<void>,
): Promise<void> {
  if (await exists(directory)) return
  await mkdir(dirname(directory), { recursive: true, mode: 0o700 })
  await removeAbandoned(directory)
  const staging = await mkdtemp(stagingPrefix(directory))
  try {
    await build(staging)
    await flushTree(staging)
    await renameUnlessTaken(staging, directory)
    await flush(dirname(directory))
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

function stagingPrefix(directory: string): string {
  return `${directory}.new-`
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    },
  )
}

/** Everything below `directory`, and itself last. */
async function flushTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await flushTree(path)
    else if (entry.isFile()) await flush(path)
  }
  await flush(directory)
}

/** fsync(2) of a file, or of a directory's entries. */
async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function renameUnlessTaken(staging: string, directory: string): Promise<void> {
  try {
    await rename(staging, directory)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
  }
}

async function removeAbandoned(directory: string): Promise<void> {
  const parent = dirname(directory)
  const prefix = basename(stagingPrefix(directory))
  for (const entry of await readdir(parent)) {
    if (!entry.startsWith(prefix)) continue
    const path = join(parent, entry)
    // The owner of a young one may rename it between the two calls.
    const made = await lstat(path).then(
      (found) => found.mtimeMs,
      () => Date.now(),
    )
    if (Date.now() - made > ABANDONED_AFTER_MS) await rm(path, { recursive: true, force: true })
  }
}
