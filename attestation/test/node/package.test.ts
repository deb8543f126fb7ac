// The package as its users get it: what the manifest promises exists, and the core stays alone.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const folder = join(import.meta.dirname, '../..')

interface Manifest {
  readonly exports: Readonly<Record<string, string | { types: string; default: string }>>
  readonly dependencies?: unknown
}

const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest

test('every export of the manifest exists, with types', () => {
  const files = Object.values(manifest.exports).flatMap((target) =>
    typeof target === 'string' ? [target] : [target.types, target.default],
  )
  const missing = files.filter((file) => !file.includes('*') && !existsSync(join(folder, file)))
  expect(missing).toEqual([])
})

test('there are no dependencies, and the core imports nothing but itself', () => {
  expect(manifest.dependencies).toBeUndefined()
  const sources = readdirSync(join(folder, 'src'), { recursive: true, encoding: 'utf8' })
  const foreign = sources
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const text = readFileSync(join(folder, 'src', file), 'utf8')
      return [...text.matchAll(/ from '([^']+)'/g)].map(([, from = '']) => `${file}: ${from}`)
    })
    .filter((line) => !/: \.\.?\//.test(line))
  expect(foreign).toEqual([])
})
