// The bundle, which is what people start. Its keeper, the blobs and the cards are found from it, its
// errors are the same, and its stacks name the source.

import { execFileSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { helloRootfs, TestHost, type CliResult } from '../host.ts'

const repository = resolve(import.meta.dirname, '../..')
let host: TestHost

beforeAll(() => {
  execFileSync(process.execPath, ['scripts/bundle.mjs'], { cwd: repository })
  host = new TestHost()
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** Runs a script in which `cloister` is the bundle. */
function bundled(script: string): Promise<CliResult> {
  const main = join(repository, 'bundle/cli/main.js')
  return host.shell(`cloister() { '${process.execPath}' '${main}' "$@"; }\n${script}`)
}

test('arguments are refused as they are by the modules', async () => {
  const { status, stdout, stderr } = await bundled('cloister describe-enclave')
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr).toMatch(/^ERR_CLI_ARGUMENT: .*did you mean describe-enclaves/)
})

test('an image is built, and its start gets as far as QEMU', async () => {
  const build = `cloister build --rootfs '${helloRootfs}' --entrypoint /hello --output-file b.eif`
  const run = 'CLOISTER_QEMU=/bin/false cloister run --eif-path b.eif --memory 128'
  const { status, stderr } = await bundled(`${build} >&2 && ${run}`)
  expect(stderr).toContain('[ E36 ] ERR_VMM_START: ')
  expect(status).toBe(39)
})

test('with --verbose a stack has the lines of the source', async () => {
  const { stderr } = await bundled('cloister --verbose describe-eif --eif-path /no/such')
  expect(stderr).toMatch(/^ {2}\| +at .*src\/files\/input-file\.ts:\d+/m)
})
