// A build that is killed, which no program can undo: what it had started ends, and the next build removes
// what lies around.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { identifyProcess } from '../../src/subprocess/index.ts'
import { once } from '../fixtures/once.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'
import { TestHost } from '../host.ts'

let place: TemporaryDirectory
let host: TestHost

beforeAll(async () => {
  place = await temporaryDirectory()
  for (const name of ['bin', 'tmp']) mkdirSync(place.join(name))
  host = new TestHost({
    PATH: `${place.join('bin')}:${process.env['PATH'] ?? ''}`,
    TMPDIR: place.join('tmp'),
  })
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
  await place[Symbol.asyncDispose]()
})

function skopeo(script: string): void {
  writeFileSync(place.join('bin/skopeo'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
}

/** Of the tool and of the process that it started. */
function pids(): readonly number[] {
  const path = place.join('pids')
  return existsSync(path) ? (readFileSync(path, 'utf8').match(/\d+/g)?.map(Number) ?? []) : []
}

test('its tool ends with it, and its temporary directory goes with the next build', async () => {
  const build = ['build', '--docker-uri', 'busybox', '--output-file', host.path('x.eif')]
  skopeo(`sleep 1000 & echo $! $$ > '${place.join('pids')}'; wait`)
  const killed = host.spawn(...build)
  await expect.poll(pids).toHaveLength(2)
  killed.kill('SIGKILL')
  await once(killed, 'close')
  const running = (): readonly unknown[] => pids().flatMap((pid) => identifyProcess(pid) ?? [])
  await expect.poll(running).toEqual([])
  expect(readdirSync(place.join('tmp'))).toHaveLength(1)

  mkdirSync(place.join('tmp/cloister-image-1'))
  skopeo('echo no such image >&2; exit 1')
  expect((await host.run(...build)).stderr).toContain('ERR_IMAGE_PULL')
  expect(readdirSync(place.join('tmp'))).toEqual(['cloister-image-1'])
})
