// The verifier in headless Chromium, pinned to one core: seconds per verification in a page, next to
// bare `subtle.verify` calls in the same page. By the clock, because a page cannot see its CPU time.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Page } from 'playwright'
import type { BenchDocuments } from './attestation-documents.ts'

/** Seconds per verification: of a document, and of one bare signature. */
export type BrowserRound = Readonly<Record<'bare' | 'cold' | 'knownBundle' | 'knownLeaf', number>>

const ORIGIN = 'http://localhost'
const DIST = join(import.meta.dirname, '../attestation/dist')
const PROGRAM = join(import.meta.dirname, 'attestation-page.mjs')

/** Measures in a page of a browser that runs on this core only. */
export async function measureInBrowser(
  documents: BenchDocuments,
  core: string,
): Promise<readonly BrowserRound[]> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-browser-'))
  try {
    const executablePath = await pinnedChromium(directory, core)
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
    try {
      return await measureInPage(await browser.newPage(), documents)
    } finally {
      await browser.close()
    }
  } finally {
    await rm(directory, { recursive: true })
  }
}

async function pinnedChromium(directory: string, core: string): Promise<string> {
  const path = join(directory, 'chromium')
  const program = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
  await writeFile(path, `#!/bin/sh\nexec taskset -c ${core} '${program}' "$@"\n`, { mode: 0o755 })
  return path
}

/** The page and its modules are answered from here: nothing listens, nothing leaves. */
async function measureInPage(page: Page, documents: BenchDocuments) {
  await page.route(`${ORIGIN}/**`, async (route) => {
    const { pathname } = new URL(route.request().url())
    if (pathname === '/') await route.fulfill({ contentType: 'text/html', body: '' })
    else await route.fulfill({ path: pathname === '/page.mjs' ? PROGRAM : join(DIST, pathname) })
  })
  await page.goto(`${ORIGIN}/`)
  const measure = `import('${ORIGIN}/page.mjs').then(({ measure }) => measure(documents))`
  const given = JSON.stringify(documents)
  return page.evaluate<readonly BrowserRound[]>(`{ const documents = ${given}; ${measure} }`)
}
