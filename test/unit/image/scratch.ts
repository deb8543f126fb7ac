// A directory of its own for each test, removed afterwards.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export async function makeScratch(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'cloister-test-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** The code that a promise is rejected with; 'accepted' when it is not. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'accepted',
    (error: unknown) => (error as { code?: unknown }).code ?? error,
  )
}
