// A directory that is complete or absent, however many processes make it at once: each builds its
// own beside it and renames; rename(2) lets one win, and the others throw theirs away.

import { lstat, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
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
    await renameUnlessTaken(staging, directory)
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
