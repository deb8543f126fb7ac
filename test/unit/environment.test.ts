// docs/environment.md lists the variables that the code reads: all of them, and no others.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const repository = resolve(import.meta.dirname, '../..')
const SOURCES = [
  'src',
  'attestation',
  'scripts',
  'enclave-images',
  'cards',
  'parent',
  'test',
  'bench',
  'kms-client',
]
const GENERATED = new Set(['node_modules', 'dist', 'target', 'build'])
const KINDS = new Set(['.ts', '.mjs', '.sh', '.rs'])
const NAME = /\bCLOISTER_[A-Z]+(?:_[A-Z]+)*\b/g

function* files(directory: string): Generator<string> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory() && !GENERATED.has(entry.name)) yield* files(path)
    else if (entry.isFile() && KINDS.has(extname(entry.name))) yield path
  }
}

const namesIn = (path: string): readonly string[] => readFileSync(path, 'utf8').match(NAME) ?? []

test('every CLOISTER_ variable of the code is in the table, and back', () => {
  const read = SOURCES.flatMap((folder) => [...files(join(repository, folder))]).flatMap(namesIn)
  const table = readFileSync(join(repository, 'docs/environment.md'), 'utf8')
  const listed = [...table.matchAll(/^\| `(CLOISTER_[A-Z_]+)`/gm)].map(([, name]) => name)
  expect(listed.toSorted()).toEqual([...new Set(read)].toSorted())
})

test('the files that the table names exist', () => {
  const table = readFileSync(join(repository, 'docs/environment.md'), 'utf8')
  const paths = [...table.matchAll(/`(src\/[^`]+)`/g)].map(([, path = '']) => path)
  expect(paths.length).toBeGreaterThan(0)
  expect(paths.filter((path) => !existsSync(join(repository, path)))).toEqual([])
})
