// Which sizes of a guest are refused huge pages, and what a person is told to do.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkHugePages } from '../../src/vmm/index.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-pages-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

function host(figures: {
  readonly total: number
  readonly free: number
  readonly taken: number
}): void {
  writeFileSync(join(directory, 'nr_hugepages'), `${String(figures.total)}\n`)
  writeFileSync(join(directory, 'free_hugepages'), `${String(figures.free)}\n`)
  writeFileSync(join(directory, 'resv_hugepages'), `${String(figures.taken)}\n`)
}

test('a guest that fits exactly gets them', () => {
  host({ total: 200, free: 100, taken: 36 })
  checkHugePages(128, directory)
})

test('pages that another mapping has reserved are not free, and the hint counts what is missing', () => {
  host({ total: 200, free: 100, taken: 40 })
  expect(() => {
    checkHugePages(128, directory)
  }).toThrow(
    expect.objectContaining({
      code: 'ERR_VMM_HUGE_PAGES',
      details: { memoryMib: 128, needed: 64, free: 60 },
      hint: expect.stringContaining('vm.nr_hugepages=204`') as string,
    }) as Error,
  )
})

test('a kernel without huge pages has none free', () => {
  expect(() => {
    checkHugePages(128, join(directory, 'none'))
  }).toThrow(expect.objectContaining({ code: 'ERR_VMM_HUGE_PAGES' }) as Error)
})

test('a size that is no multiple of a page is refused with one that is', () => {
  host({ total: 200, free: 200, taken: 0 })
  expect(() => {
    checkHugePages(129, directory)
  }).toThrow(expect.objectContaining({ hint: 'Use --memory 130.' }) as Error)
})
