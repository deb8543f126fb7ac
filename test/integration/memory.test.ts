// An image is unpacked whole, or its start is refused with the memory that it needs: with our agent,
// and with an init that does what AWS's does and looks at nothing.

import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AWS_CMDLINE } from '../fixtures/aws-image.ts'
import { guestProgram, guestReport, guestRootfs } from '../fixtures/guest-program.ts'
import { TestHost } from '../host.ts'

const MIB = 1024 * 1024
const LEAST_MIB = 64

const contents = {
  bytes: { files: 1, bytes: 80 * MIB },
  count: { files: 15_000, bytes: 100 },
  noise: { files: 30, bytes: MIB },
} as const

let host: TestHost
beforeAll(() => {
  host = new TestHost()
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** An image whose app counts the files of /data, or what is there of them. */
async function build(kind: keyof typeof contents, ...args: readonly string[]): Promise<string> {
  const rootfs = await guestRootfs(join(host.directory, kind), 'probe')
  const data = join(rootfs, 'data')
  mkdirSync(data, { recursive: true })
  const { files, bytes } = contents[kind]
  // The app counts bytes other than 0. Noise is what a compressed root file system does not make smaller.
  const content =
    kind === 'noise' ? randomBytes(bytes).map((byte) => byte | 1) : new Uint8Array(bytes).fill(0x41)
  for (let index = 0; index < files; index++) writeFileSync(join(data, String(index)), content)
  const words = ['--entrypoint', '/probe', 'count', '/data']
  return host.build(kind, '--rootfs', rootfs, ...words, ...args)
}

/** The memory that the refusal names. */
async function refusal(eif: string, memoryMib: number): Promise<number> {
  const result = await host.run('run-enclave', '--eif-path', eif, '--memory', String(memoryMib))
  expect(result.stderr).toContain('ERR_KEEPER_MEMORY')
  return Number(/--memory (\d+)/.exec(result.stderr)?.[1])
}

async function whole(kind: keyof typeof contents, eif: string): Promise<void> {
  const needed = await refusal(eif, LEAST_MIB)
  expect(await refusal(eif, needed - 1)).toBe(needed)
  const enclave = await host.start(eif, '--memory', String(needed))
  const { files, bytes } = contents[kind]
  expect(await guestReport(enclave.VsockSocket)).toEqual({ files, bytes: files * bytes })
  await host.json('terminate-enclave', '--enclave-id', enclave.EnclaveID, '--timeout', '0')
}

test('the memory that a refusal names suffices for a root that stays compressed', async () => {
  await whole('noise', await build('noise', '--root', 'squashfs'))
})

test('the memory that a refusal names suffices for a volume with contents, which are unpacked', async () => {
  const manifest = join(host.directory, 'volume.yaml')
  writeFileSync(manifest, 'cloister: 1\nname: a\nversion: "1"\nrun: { volumes: [/data] }\n')
  await whole('noise', await build('noise', '--manifest', manifest))
})

describe.each(['bytes', 'count'] as const)(
  'the memory that a refusal names suffices, by %s',
  (kind) => {
    test('for an image of ours', async () => {
      await whole(kind, await build(kind, '--root', 'cpio'))
    })

    test("for an image of AWS's own tools", async () => {
      const init = await guestProgram('aws-init')
      await whole(kind, await build(kind, '--init', init, '--cmdline', AWS_CMDLINE))
    })
  },
)
