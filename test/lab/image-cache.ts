// Files made from known inputs, kept under the hash of those inputs.

import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Older images of a kind stay this long, ms: another run may be about to open one. */
const KEEP_MS = 3_600_000
/** And so many of them for longer. */
const KEEP_COUNT = 3

const directory = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'cloister/lab')

/** The file of `kind` made from `inputs`, made by `make` if it is not there yet. */
export async function cachedImage(
  kind: string,
  inputs: readonly (string | Uint8Array)[],
  make: (path: string) => Promise<unknown>,
): Promise<string> {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, `${kind}-${hashOf(inputs)}`)
  if (!touch(path)) {
    const unfinished = `${path}.${String(process.pid)}`
    try {
      await make(unfinished)
      renameSync(unfinished, path)
    } finally {
      rmSync(unfinished, { force: true })
    }
  }
  prune(kind)
  return path
}

function hashOf(inputs: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const input of inputs) hash.update(`${String(input.length)}:`).update(input)
  return hash.digest('hex').slice(0, 32)
}

/** Marks it as used; false if it is not there. */
function touch(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return false
  utimesSync(path, new Date(), new Date())
  return true
}

function prune(kind: string): void {
  const files = readdirSync(directory)
    .filter((name) => name.startsWith(`${kind}-`))
    .map((name) => join(directory, name))
    .map((path) => ({ path, used: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((a, b) => b.used - a.used)
  for (const { path, used } of files.slice(KEEP_COUNT))
    if (Date.now() - used > KEEP_MS) rmSync(path, { force: true })
}
