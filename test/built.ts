// The tests start what people start, the bundle: a run on an old one would tell nothing about the code.

import { readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'

const repository = resolve(import.meta.dirname, '..')

/** @throws Error when a module is newer than the bundle. */
export function setup(): void {
  const builtMs = changedMs(join(repository, 'bundle/cli/main.js'))
  const sources = ['src', 'attestation/src'].flatMap((folder) => modules(join(repository, folder)))
  const newer = sources.find((path) => changedMs(path) > builtMs)
  if (newer !== undefined) throw new Error(`${newer} is newer than the bundle: npm run build`)
}

function modules(folder: string): readonly string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.ts')).map((name) => join(folder, name))
}

function changedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}
