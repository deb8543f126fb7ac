// Images made of real OCI layouts, taken apart by the real cpio, and the command line around them.

import { createHash } from 'node:crypto'
import {
  link,
  mkdir,
  readFile,
  readdir,
  rm,
  symlink,
  writeFile,
  lstat,
  readlink,
} from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'

import { tarOf, writeLayout } from '../fixtures/image/archive.ts'
import { makeScratch } from '../fixtures/temporary-directory.ts'
import {
  cliProgram,
  compileCli,
  makeBlobs,
  printedCode,
  runCli,
  tool,
  unpackRamdisk,
  type Outcome,
} from '../fixtures/image/image-workbench.ts'

beforeAll(compileCli)

/** Type, permissions, owner and contents of everything below a directory; hard links as such. */
async function census(root: string, inside = ''): Promise<Record<string, string>> {
  const result: Record<string, string> = {}
  for (const name of await readdir(join(root, inside))) {
    const path = inside === '' ? name : `${inside}/${name}`
    const status = await lstat(join(root, path))
    const facts = `${status.mode.toString(8)} ${String(status.uid)}:${String(status.gid)}`
    if (status.isDirectory()) {
      result[path] = facts
      Object.assign(result, await census(root, path))
    } else if (status.isSymbolicLink()) result[path] = `-> ${await readlink(join(root, path))}`
    else {
      const digest = createHash('sha256')
        .update(await readFile(join(root, path)))
        .digest('hex')
      result[path] = `${facts} links=${String(status.nlink)} ${digest}`
    }
  }
  return result
}

interface Measured {
  readonly Measurements: { readonly PCR8: string }
}

interface Bundle {
  readonly rootfs: string
  readonly layout: string
}

/** An image of two layers, made and unpacked by umoci: the tree that any runtime would see. */
async function makeTwoLayerImage(scratch: string): Promise<Bundle> {
  const layout = join(scratch, 'layout')
  const image = `${layout}:v1`
  await tool('umoci', 'init', '--layout', layout)
  await tool('umoci', 'new', '--image', image)
  await tool('umoci', 'unpack', '--image', image, join(scratch, 'first'))
  const first = join(scratch, 'first/rootfs')
  await mkdir(join(first, 'usr/bin'), { recursive: true })
  await mkdir(join(first, 'etc'))
  await writeFile(join(first, 'usr/bin/app'), Buffer.alloc(3 * 1024 * 1024 + 1, 7), {
    mode: 0o4755,
  })
  await link(join(first, 'usr/bin/app'), join(first, 'usr/bin/zapp'))
  await symlink('usr/bin', join(first, 'bin'))
  await writeFile(join(first, 'etc/gone'), 'removed by the second layer')
  await writeFile(join(first, 'etc/passwd'), 'root:x:0:0::/:\napp:x:1000:1001::/:\n', {
    mode: 0o600,
  })
  await writeFile(join(first, 'etc/empty'), '')
  await tool('umoci', 'repack', '--image', image, join(scratch, 'first'))
  await tool('umoci', 'unpack', '--image', image, join(scratch, 'second'))
  await rm(join(scratch, 'second/rootfs/etc/gone'))
  await writeFile(join(scratch, 'second/rootfs/etc/new'), 'added by the second layer')
  await tool('umoci', 'repack', '--image', image, join(scratch, 'second'))
  await tool('umoci', 'config', '--image', image, '--config.entrypoint', '/usr/bin/app')
  const more = ['--config.cmd', '--flag', '--config.user', 'app', '--config.workingdir', '/etc']
  await tool('umoci', 'config', '--image', image, ...more, '--config.env', 'A=b')
  await tool('umoci', 'unpack', '--image', image, join(scratch, 'expected'))
  return { rootfs: join(scratch, 'expected/rootfs'), layout }
}

describe('an image of an OCI layout', () => {
  it('holds in its second ramdisk the tree that umoci unpacks, and the run configuration', async () => {
    const scratch = await makeScratch()
    const { rootfs, layout } = await makeTwoLayerImage(scratch)
    const blobs = await makeBlobs(join(scratch, 'blobs'))
    const eif = join(scratch, 'image.eif')
    const flags = ['--docker-uri', `oci:${layout}:v1`, '--blobs', blobs, '--output-file', eif]
    expect(await runCli('build-enclave', flags)).toMatchObject({
      status: 0,
      stderr: 'Start building the Enclave Image...\nEnclave Image successfully created.\n',
    })

    const ramdisk = join(scratch, 'application')
    await unpackRamdisk(eif, 1, ramdisk)
    const expected = await census(rootfs)
    for (const name of ['dev', 'run', 'sys', 'var', 'proc', 'tmp']) expected[name] ??= '40755 0:0'
    expect(await census(join(ramdisk, 'rootfs'))).toEqual(expected)
    expect((await readdir(ramdisk)).sort()).toEqual([
      'cloister.yaml',
      'cmd',
      'env',
      'rootfs',
      'unpacked.json',
    ])
    expect(JSON.parse(await readFile(join(ramdisk, 'cloister.yaml'), 'utf8'))).toMatchObject({
      version: 1,
      entrypoint: ['/usr/bin/app'],
      cmd: ['--flag'],
      workdir: '/etc',
      user: { uid: 1000, gid: 1001, groups: [] },
    })
    expect(await readFile(join(ramdisk, 'cmd'), 'utf8')).toBe('/usr/bin/app\n--flag\n')

    await unpackRamdisk(eif, 0, join(scratch, 'platform'))
    expect(Object.keys(await census(join(scratch, 'platform'))).sort()).toEqual(['dev', 'init'])
  })

  it('is described and measured by the other commands as it was built', async () => {
    const scratch = await makeScratch()
    const blobs = await makeBlobs(join(scratch, 'blobs'))
    await mkdir(join(scratch, 'rootfs'))
    await writeFile(join(scratch, 'rootfs/app'), 'x')
    await writeFile(join(scratch, 'meta.json'), '{"team":"x"}')
    const eif = join(scratch, 'image.eif')
    const labels = ['--name=web', '--version', '2.1', '--metadata', join(scratch, 'meta.json')]
    const source = ['--rootfs', join(scratch, 'rootfs'), '--entrypoint', '/app']
    const flags = [...source, ...labels, '--blobs', blobs, '--output-file', eif]
    const built = JSON.parse((await runCli('build-enclave', flags)).stdout) as object
    expect(built).toEqual({
      Measurements: {
        HashAlgorithm: 'Sha384 { ... }',
        PCR0: expect.stringMatching(/^[0-9a-f]{96}$/) as string,
        PCR1: expect.stringMatching(/^[0-9a-f]{96}$/) as string,
        PCR2: expect.stringMatching(/^[0-9a-f]{96}$/) as string,
      },
    })
    expect(JSON.parse((await runCli('pcr', ['--eif', eif])).stdout)).toEqual(built)
    expect(JSON.parse((await runCli('describe-eif', ['--eif-path', eif])).stdout)).toMatchObject({
      ...built,
      EifVersion: 4,
      IsSigned: false,
      CheckCRC: true,
      ImageName: 'web',
      ImageVersion: '2.1',
      Metadata: {
        team: 'x',
        BuildTool: 'cloister',
        OperatingSystem: 'Linux',
        KernelVersion: '6.12.107',
      },
    })
  })
})

describe('a signed image', () => {
  it('has the PCR8 of its certificate, and is described as signed', async () => {
    const scratch = await makeScratch()
    const blobs = await makeBlobs(join(scratch, 'blobs'))
    await mkdir(join(scratch, 'rootfs'))
    const [key, certificate] = [join(scratch, 'key.pem'), join(scratch, 'signer.pem')]
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes']
    const output = ['-subj', '/CN=signer', '-keyout', key, '-out', certificate]
    await tool('openssl', 'req', '-x509', ...newKey, ...output)
    const eif = join(scratch, 'image.eif')
    const source = ['--rootfs', join(scratch, 'rootfs'), '--entrypoint', '/app', '--blobs', blobs]
    const signer = ['--signing-certificate', certificate, '--private-key', key]
    const flags = [...source, ...signer, '--output-file', eif]
    const built = JSON.parse((await runCli('build-enclave', flags)).stdout) as Measured
    const pcr = await runCli('pcr', ['--signing-certificate', certificate])
    expect(JSON.parse(pcr.stdout)).toEqual({ PCR8: built.Measurements.PCR8 })
    expect(JSON.parse((await runCli('describe-eif', ['--eif-path', eif])).stdout)).toMatchObject({
      ...built,
      IsSigned: true,
      SignatureCheck: true,
      SigningCertificate: { IssuerName: { commonName: 'signer' }, Algorithm: 'ecdsa-with-SHA256' },
    })
    const half = await runCli('build-enclave', [
      ...source,
      '--private-key',
      key,
      '--output-file',
      eif,
    ])
    expect(half.stderr).toContain('ERR_CLI_ARGUMENT')
  })
})

describe('the progress of a build', () => {
  it('is a bar on a terminal, lines elsewhere and nothing with --quiet; JSON alone is on stdout', async () => {
    const scratch = await makeScratch()
    const blobs = await makeBlobs(join(scratch, 'blobs'))
    await mkdir(join(scratch, 'rootfs'))
    await writeFile(join(scratch, 'rootfs/app'), '', { mode: 0o755 })
    await tool('truncate', '--size=300M', join(scratch, 'rootfs/app'))
    const source = ['--rootfs', join(scratch, 'rootfs'), '--entrypoint', '/app', '--blobs', blobs]
    const flags = [...source, '--output-file', join(scratch, 'x.eif')]
    const onTerminal = async (...more: readonly string[]): Promise<[string, unknown]> => {
      const command = `"$0" "$@" > ${scratch}/json`
      const shell = ['sh', '-c', command, process.execPath, cliProgram, 'build-enclave']
      const words = [...shell, ...flags, ...more].map((word) => `'${word}'`).join(' ')
      const seen = await tool('script', '-qec', words, '/dev/null')
      return [seen, JSON.parse(await readFile(join(scratch, 'json'), 'utf8'))]
    }
    const [seen, measured] = await onTerminal()
    expect(seen).toMatch(/\r\x1b\[KWriting the image \[#+\.*\] +\d+ %/)
    const [quiet, same] = await onTerminal('--quiet')
    expect([quiet, same]).toEqual(['', measured])
    const { stdout, stderr } = await runCli('build-enclave', flags)
    expect(JSON.parse(stdout)).toEqual(measured)
    expect(stderr).toMatch(/^Start building the Enclave Image\.\.\.\n/)
    expect(stderr).not.toMatch(/[\r\x1b]/)
  })
})

describe('an image for aarch64', () => {
  const magic = 'ARM\u0064'

  it('is built from a foreign kernel and init, and refused where it cannot run', async () => {
    const scratch = await makeScratch()
    const kernel = Buffer.alloc(4096)
    kernel.write(magic, 0x38, 'latin1')
    await writeFile(join(scratch, 'Image'), kernel)
    await writeFile(join(scratch, 'init'), 'an init for ARM')
    const layers = [await tarOf([{ name: 'app', data: 'x', mode: 0o755 }])]
    await writeLayout(join(scratch, 'layout'), { layers, architecture: 'arm64' })
    const own = ['--kernel', join(scratch, 'Image'), '--init', join(scratch, 'init')]
    const eif = join(scratch, 'arm.eif')
    const source = ['--docker-uri', `oci:${scratch}/layout`, '--output-file', eif]
    const build = (...args: readonly string[]): Promise<Outcome> =>
      runCli('build-enclave', [...source, ...args])
    expect(await build('--arch', 'arm64', ...own)).toMatchObject({ status: 0 })
    expect((await readFile(eif)).readUInt16BE(6) & 1).toBe(1)
    const lint = await runCli('lint-eif', ['--eif-path', eif])
    expect(lint).toMatchObject({ status: 1 })
    expect(lint.stdout).toContain('"architecture"')
    const run = await runCli('run-enclave', ['--eif-path', eif, '--memory', '128'])
    expect(printedCode(run)).toBe('ERR_KEEPER_IMAGE')
    expect(printedCode(await build(...own))).toBe('ERR_IMAGE_BLOBS')
    const bare = await build('--arch', 'aarch64')
    expect(printedCode(bare)).toBe('ERR_IMAGE_BLOBS')
    expect(bare.stderr).toContain('for x86_64 only')
  })
})

describe('a build that fails', () => {
  it('leaves nothing behind, and an image that was there untouched', async () => {
    const scratch = await makeScratch()
    const blobs = await makeBlobs(join(scratch, 'blobs'))
    await mkdir(join(scratch, 'rootfs'))
    await mkdir(join(scratch, 'out'))
    await writeFile(join(scratch, 'out/image.eif'), 'the old image')
    await tool('truncate', '--size=5G', join(scratch, 'rootfs/huge'))
    const source = ['--rootfs', join(scratch, 'rootfs'), '--entrypoint', '/app', '--blobs', blobs]
    const output = ['--output-file', join(scratch, 'out/image.eif')]
    const outcome = await runCli('build-enclave', [...source, ...output])
    expect(outcome).toMatchObject({ status: 48, stdout: '' })
    expect(printedCode(outcome)).toBe('ERR_IMAGE_LIMIT')
    expect(await readdir(join(scratch, 'out'))).toEqual(['image.eif'])
    expect(await readFile(join(scratch, 'out/image.eif'), 'utf8')).toBe('the old image')
  })

  it('ends with the code of what is wrong', async () => {
    const scratch = await makeScratch()
    const blobs = await makeBlobs(join(scratch, 'blobs'))
    await mkdir(join(scratch, 'rootfs'))
    const output = ['--output-file', join(scratch, 'x.eif')]
    const rootfs = ['--rootfs', join(scratch, 'rootfs')]
    const cases: [string[], string][] = [
      [['--docker-uri', './busybox', '--blobs', blobs], 'ERR_IMAGE_REFERENCE'],
      [['--blobs', blobs], 'ERR_CLI_ARGUMENT'],
      [[...rootfs, '--docker-uri', 'oci:x', '--blobs', blobs], 'ERR_CLI_ARGUMENT'],
      [[...rootfs, '--blobs', blobs], 'ERR_IMAGE_CONFIG'],
      [[...rootfs, '--entrypoint', '/a', '--user', 'nobody', '--blobs', blobs], 'ERR_IMAGE_USER'],
      [[...rootfs, '--entrypoint', '/a', '--blobs', scratch], 'ERR_IMAGE_BLOBS'],
      [['--rootfs', join(scratch, 'none'), '--blobs', blobs], 'ERR_IMAGE_SOURCE_MISSING'],
      [[...rootfs, '--entrypoint', '/a', '--cmdline', 'ä', '--blobs', blobs], 'ERR_EIF_CMDLINE'],
    ]
    for (const [flags, code] of cases) {
      const outcome = await runCli('build-enclave', [...flags, ...output])
      expect(printedCode(outcome), flags.join(' ')).toBe(code)
      expect(outcome.stdout).toBe('')
    }
    const unwritable = join(scratch, 'none/x.eif')
    const flags = [...rootfs, '--entrypoint', '/a', '--blobs', blobs, '--output-file', unwritable]
    expect((await runCli('build-enclave', flags)).stderr).toContain('ERR_FILE_OUTPUT')
  })
})

describe('a path that the user gives', () => {
  it('is refused at once when it leads to a FIFO, by every flag that reads a file', async () => {
    const scratch = await makeScratch()
    const blobs = await makeBlobs(join(scratch, 'blobs'))
    const rootfs = join(scratch, 'rootfs')
    await mkdir(rootfs)
    const fifo = join(scratch, 'fifo')
    await tool('mkfifo', fifo)
    await mkdir(join(scratch, 'layout'))
    await tool('mkfifo', join(scratch, 'layout/oci-layout'))
    const output = ['--blobs', blobs, '--output-file', join(scratch, 'x.eif')]
    const build = ['build-enclave', ...output, '--rootfs', rootfs, '--entrypoint', '/a']
    const commands: string[][] = [
      ['run-enclave', '--eif-path', fifo],
      ['run-enclave', '--config', fifo],
      ['describe-eif', '--eif-path', fifo],
      ['pcr', '--eif', fifo],
      ['pcr', '--input', fifo],
      ['pcr', '--signing-certificate', fifo],
      ['verify', '--document', fifo, '--aws-root'],
      [...build, '--kernel', fifo],
      [...build, '--init', fifo],
      [...build, '--metadata', fifo],
      [...build, '--signing-certificate', fifo, '--private-key', fifo],
      ['build-enclave', ...output, '--docker-uri', `oci-archive:${fifo}`],
      ['build-enclave', ...output, '--docker-uri', `oci:${join(scratch, 'layout')}`],
      ['build-enclave', ...output, '--rootfs', fifo],
    ]
    for (const [command = '', ...flags] of commands) {
      const outcome = await runCli(command, flags, { timeout: 20_000 })
      expect(printedCode(outcome), `${command} ${flags.join(' ')}`).toMatch(
        /^ERR_(CLI_ARGUMENT|EIF_UNREADABLE|FILE_INPUT|SIGNING_KEY|IMAGE_BLOBS|IMAGE_SOURCE_MISSING)$/,
      )
    }
  })

  it.runIf(process.getuid?.() === 0)('is written through when it is a device', async () => {
    const scratch = await makeScratch()
    const blobs = await makeBlobs(join(scratch, 'blobs'))
    await mkdir(join(scratch, 'rootfs'))
    const sink = join(scratch, 'sink')
    await tool('mknod', sink, 'c', '1', '3')
    const source = ['--rootfs', join(scratch, 'rootfs'), '--entrypoint', '/a', '--blobs', blobs]
    const outcome = await runCli('build-enclave', [...source, '--output-file', sink])
    expect(JSON.parse(outcome.stdout)).toHaveProperty('Measurements.PCR0')
    expect((await lstat(sink)).isCharacterDevice()).toBe(true)
  })
})
