// The two flavours of the guest kernel against the list that the documentation shows: each facility
// is tried by a program in a guest, and each option looked up in the configuration.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { guestReport, guestRootfs } from '../fixtures/guest-program.ts'
import { TestHost } from '../host.ts'

const repository = resolve(import.meta.dirname, '../..')
const FLAVOURS = ['standard', 'minimal'] as const

interface Facility {
  readonly id: string
  readonly options: readonly string[]
  readonly standard: boolean
  readonly minimal: boolean
  readonly aws: boolean
  /** What the machine must have for it to work. */
  readonly needs?: string
  /** False when a program in the guest cannot tell. */
  readonly probe?: boolean
  readonly reason?: string
}

interface Report {
  readonly release: string
  readonly failures: Readonly<Record<string, string | null>>
}

const facilities = JSON.parse(
  readFileSync(join(repository, 'enclave-images/kernel/facilities.json'), 'utf8'),
) as readonly Facility[]

let host: TestHost
let rootfs: string

beforeAll(async () => {
  host = new TestHost()
  rootfs = await guestRootfs(host.directory, 'facilities')
  makeFileSystems(rootfs, host.directory)
  const program = join(repository, 'test/guests/32-bit/main.c')
  const flags = ['-m32', '-static', '-nostdlib', '-ffreestanding', '-O1']
  execFileSync('gcc', [...flags, '-o', join(rootfs, '32-bit'), program])
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** /images: a file system of each kind with one file in it. */
function makeFileSystems(root: string, directory: string): void {
  const images = join(root, 'images')
  const tree = join(directory, 'tree')
  mkdirSync(images)
  mkdirSync(tree)
  writeFileSync(join(tree, 'greeting'), 'hello\n'.repeat(1000))
  const run = (program: string, ...args: readonly string[]): void => {
    execFileSync(program, args, { stdio: 'ignore', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } })
  }
  run('mke2fs', '-q', '-t', 'ext4', '-O', 'encrypt', '-d', tree, join(images, 'ext4'), '1M')
  for (const compressor of ['gzip', 'lz4', 'lzo', 'xz', 'zstd']) {
    run('mksquashfs', tree, join(images, `squashfs-${compressor}`), '-comp', compressor)
  }
  run('mkfs.erofs', '-zlz4', join(images, 'erofs'), tree)
}

describe.each(FLAVOURS)('the kernel flavour %s', (flavour) => {
  test('does in a guest what the list says, and nothing that the list refuses', async () => {
    const source = ['--rootfs', rootfs, '--entrypoint', '/facilities']
    const eif = await host.build(flavour, ...source, '--kernel-flavour', flavour)
    const { Metadata } = await host.json<{ readonly Metadata: object }>(
      ...['describe-eif', '--eif-path', eif],
    )
    expect(Metadata).toMatchObject({ KernelFlavour: flavour })
    const enclave = await host.start(eif)
    const { release, failures } = await guestReport<Report>(enclave.VsockSocket)
    expect(release).toMatch(flavour === 'minimal' ? /-enclave$/ : /-enclave-standard$/)
    const tried = facilities.filter(({ probe }) => probe !== false)
    expect(Object.keys(failures).sort()).toEqual(tried.map(({ id }) => id).sort())
    // What needs a machine of some kind may be absent where the list has it, not the reverse.
    const wrong = tried.filter((facility) => {
      const works = failures[facility.id] === null
      return works !== facility[flavour] && !(facility.needs !== undefined && !works)
    })
    const described = wrong.map(({ id }) => `${id}: ${failures[id] ?? 'works'}`)
    expect(described).toEqual([])
  })

  test('has the options that the list names, and no others of them', () => {
    const config = join(repository, 'build/blobs', flavour === 'minimal' ? flavour : '')
    const text = readFileSync(join(config, 'kernel.config'), 'utf8')
    const enabled = new Set([...text.matchAll(/^CONFIG_(\w+)=/gm)].map((match) => match[1] ?? ''))
    const wrong = facilities.filter((facility) => {
      const found = facility.options.filter((option) => enabled.has(option)).length
      if (facility[flavour]) return found < facility.options.length
      // An option may serve another facility as well, unless no flavour has this one.
      return facility.standard ? found === facility.options.length : found > 0
    })
    expect(wrong.map(({ id }) => id)).toEqual([])
  })
})

test('a flavour that the blobs do not have, or that a kernel of its own replaces, is refused', async () => {
  const build = async (...flags: readonly string[]): Promise<string> => {
    const source = ['--rootfs', rootfs, '--entrypoint', '/facilities']
    const output = ['--output-file', join(host.directory, 'refused.eif')]
    return (await host.run('build-enclave', ...source, ...output, ...flags)).stderr
  }
  const foreign = join(host.directory, 'foreign')
  mkdirSync(foreign)
  for (const name of ['bzImage', 'init']) {
    symlinkSync(join(repository, 'build/blobs', name), join(foreign, name))
  }
  const refused = /ERR_IMAGE_BLOBS/
  expect(await build('--blobs', foreign, '--kernel-flavour', 'minimal')).toMatch(refused)
  // A kernel without its configuration may be anything.
  expect(await build('--blobs', foreign, '--kernel-flavour', 'standard')).toMatch(refused)
  const kernel = join(foreign, 'bzImage')
  expect(await build('--kernel', kernel, '--kernel-flavour', 'minimal')).toMatch(/ERR_CLI_ARGUMENT/)
})

test('every facility of AWS that is refused has its reason', () => {
  const refused = facilities.filter(({ aws, standard }) => aws && !standard)
  expect(refused.filter(({ reason }) => reason === undefined)).toEqual([])
})
