// A Python program in production mode whose manifest lets some of its lines leave.

import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pythonRootfs } from '../fixtures/strangers.ts'
import { TestHost } from '../host.ts'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

const FLOOD = 20_000

test('what the manifest declares leaves, nothing else does, and a flood stays bounded', async () => {
  await pythonRootfs(host.directory, 'log-lines.py')
  const manifest = `cloister: 1
name: logging
version: "1"
source: { rootfs: log-lines-rootfs }
run: { entrypoint: [/usr/bin/python3, /app.py], user: "1000:1000" }
resources: { memory: 160M }
logs: { stdout: ["audit: "] }
`
  writeFileSync(host.path('cloister.yaml'), manifest)
  const eif = host.path('logging.eif')
  await host.json('build', '--manifest', host.path('cloister.yaml'), '--output-file', eif)
  const launched = await host.json<{ readonly EnclaveID: string; readonly MemoryMiB: number }>(
    ...['run', '--eif-path', eif],
  )
  expect(launched).toMatchObject({ EnclaveName: 'logging', MemoryMiB: 160 })
  // Follows from the first line to the enclave's end.
  const { status, stdout } = await host.run('logs', '--enclave-name', 'logging', '--follow')
  expect(status).toBe(0)
  const { End, Flags } = await host.describe(launched.EnclaveID)
  expect({ End, Flags }).toMatchObject({ End: { First: 'app', ExitCode: 7 }, Flags: 'NONE' })

  const lines = stdout.trimEnd().split('\n')
  const declared = JSON.parse(/audit: manifest (.*)/.exec(lines[0] ?? '')?.[1] ?? 'null') as unknown
  expect(declared).toEqual({
    ...{ name: 'logging', version: '1', memoryMib: 160, ports: [] },
    ...{ logs: { stdout: ['audit: '], stderr: [] }, restart: 'no' },
  })
  expect(lines[1]).toMatch(/ stdout audit: by name, as user 1000$/)
  expect(lines[2]).toMatch(/ stdout audit: long y{2036} -- 2964 bytes were cut --$/)
  expect(lines[3]).toMatch(/ stdout audit: control \\u001b\[2J$/)
  expect(lines.at(-1)).toMatch(/ stdout audit: the last, without a line end$/)
  expect(stdout).not.toMatch(/secret|wrong stream/)

  // A burst within the limits is there as a whole, although it is faster than the parent reads.
  const burst = lines.flatMap((line) => / audit: burst (\d+)$/.exec(line)?.[1] ?? [])
  expect(burst).toEqual(Array.from({ length: 1000 }, (_, index) => String(index)))
  // Every line of the flood was kept or counted.
  const kept = lines.filter((line) => line.includes('audit: flood')).length
  const dropped = Array.from(stdout.matchAll(/ -- (\d+) lines were dropped/g), ([, n]) => Number(n))
  expect(dropped.length).toBeGreaterThan(0)
  expect(kept + dropped.reduce((sum, n) => sum + n, 0)).toBe(FLOOD)
  const directory = join(host.runtime, 'enclaves', launched.EnclaveID)
  expect(statSync(join(directory, 'log.jsonl')).size).toBeLessThanOrEqual(1024 * 1024)
  // It is there after the end too.
  expect((await host.run('logs', '--enclave-id', launched.EnclaveID)).stdout).toBe(stdout)
})
