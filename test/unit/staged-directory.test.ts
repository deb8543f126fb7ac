// What has its name has its contents, also after a loss of power.

import { mkdir, writeFile } from 'node:fs/promises'
import type * as promises from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { makeDirectoryOnce } from '../../src/chip/staged-directory.ts'
import { temporaryDirectory } from '../fixtures/temporary-directory.ts'

const { steps } = vi.hoisted(() => ({ steps: [] as string[] }))

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof promises>()
  const open: typeof real.open = async (path, ...rest) => {
    const handle = await real.open(path, ...rest)
    const sync = handle.sync.bind(handle)
    handle.sync = () => {
      steps.push(`sync ${String(path)}`)
      return sync()
    }
    return handle
  }
  const rename: typeof real.rename = (from, to) => {
    steps.push(`rename ${String(to)}`)
    return real.rename(from, to)
  }
  return { ...real, open, rename }
})

test('a directory is on the disk with all it holds before it gets its name, and then its name is', async () => {
  await using directory = await temporaryDirectory()
  const chip = directory.join('chip')
  await makeDirectoryOnce(chip, async (staging) => {
    await mkdir(join(staging, 'tpm'))
    await writeFile(join(staging, 'tpm', 'state'), 'x')
    await writeFile(join(staging, 'chip.json'), '{}')
  })
  const named = steps.map((step) => step.replace(/chip\.new-[^/]*/, 'new'))
  const at = (path: string): string => `sync ${directory.join(path)}`
  expect(new Set(named.slice(0, 4))).toEqual(
    new Set([at('new'), at('new/chip.json'), at('new/tpm'), at('new/tpm/state')]),
  )
  expect(named.slice(4)).toEqual([`rename ${chip}`, `sync ${directory.path}`])
})
