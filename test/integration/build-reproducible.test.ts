// The same image from another directory, copy, umask, user and time zone: PCRs and file are equal.

import { chmod, cp, mkdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { asOtherUser } from '../fixtures/other-user.ts'

import { makeScratch } from '../fixtures/temporary-directory.ts'
import { compileCli, makeBlobs, runCli, tool } from '../fixtures/image/image-workbench.ts'

beforeAll(compileCli)

/** A root file system whose names and modes would show an unsorted or umask-dependent build. */
async function makeRootfs(path: string, names: readonly string[], mask: number): Promise<void> {
  await mkdir(join(path, 'bin'), { recursive: true, mode: 0o777 & ~mask })
  await writeFile(join(path, 'bin/app'), '#!/bin/sh\necho hello\n')
  await chmod(join(path, 'bin/app'), 0o755 & ~mask)
  for (const name of names) {
    await writeFile(join(path, name), `contents of ${name}`)
    await chmod(join(path, name), 0o666 & ~mask)
  }
  await symlink('app', join(path, 'bin/alias'))
}

const names = ['zeta', 'alpha', 'Beta', 'ähnlich', '0', '.hidden', 'a-b', 'a.b']

describe('build-enclave', () => {
  it('gives the same file for the same root file system, wherever and by whomever', async () => {
    const scratch = await makeScratch()
    await chmod(scratch, 0o777)
    const blobs = await makeBlobs(join(scratch, 'blobs'))
    await makeRootfs(join(scratch, 'one/rootfs'), names, 0o022)
    await makeRootfs(join(scratch, 'two/deeper/rootfs'), names.toReversed(), 0o002)
    await utimes(join(scratch, 'two/deeper/rootfs/zeta'), 1e9, 1e9)
    await chmod(join(scratch, 'two'), 0o777)

    const flags = ['--entrypoint', '/bin/app', '--env', 'A=b', '--blobs', blobs]
    const first = await runCli(
      'build-enclave',
      ['--rootfs', 'rootfs', '--output-file', '../first.eif', ...flags],
      { cwd: join(scratch, 'one'), env: { PATH: process.env['PATH'], TZ: 'Pacific/Auckland' } },
    )
    expect(first).toMatchObject({ status: 0 })

    const wrapper = asOtherUser('077')
    const second = await runCli(
      'build-enclave',
      ['--rootfs', 'deeper/rootfs', '--output-file', 'second.eif', ...flags],
      {
        cwd: join(scratch, 'two'),
        env: { PATH: process.env['PATH'], TZ: 'America/St_Johns', LC_ALL: 'de_DE.UTF-8' },
        wrapper,
      },
    )
    expect(second).toMatchObject({ status: 0, stdout: first.stdout })
    const bytes = await readFile(join(scratch, 'first.eif'))
    expect(bytes.equals(await readFile(join(scratch, 'two/second.eif')))).toBe(true)
  })

  it('gives the same PCRs for an image packed as gzip, zstd and archive', async () => {
    const scratch = await makeScratch()
    const blobs = await makeBlobs(join(scratch, 'blobs'))
    await makeLayoutWithUmoci(scratch)
    const layout = `oci:${join(scratch, 'layout')}:v1`
    await tool(
      'skopeo',
      'copy',
      '-q',
      '--dest-compress-format=zstd',
      layout,
      `oci:${scratch}/zstd:v1`,
    )
    await tool('skopeo', 'copy', '-q', layout, `oci-archive:${scratch}/image.tar:v1`)
    const outputs = new Set<string>()
    for (const uri of [layout, `oci:${scratch}/zstd`, `oci-archive:${scratch}/image.tar`]) {
      const flags = ['--docker-uri', uri, '--blobs', blobs, '--output-file', `${scratch}/x.eif`]
      const { status, stdout, stderr } = await runCli('build-enclave', flags)
      expect({ status, stderr }).toMatchObject({ status: 0 })
      outputs.add(stdout)
    }
    expect(outputs.size).toBe(1)
  })

  it('puts SOURCE_DATE_EPOCH into the metadata and nowhere else', async () => {
    const scratch = await makeScratch()
    const blobs = await makeBlobs(join(scratch, 'blobs'))
    await makeRootfs(join(scratch, 'rootfs'), names, 0o022)
    const build = async (epoch: string, output: string) => {
      const flags = ['--rootfs', 'rootfs', '--entrypoint', '/bin/app', '--blobs', blobs]
      const env = { PATH: process.env['PATH'], SOURCE_DATE_EPOCH: epoch }
      return runCli('build-enclave', [...flags, '--output-file', output], { cwd: scratch, env })
    }
    const plain = await build('', 'plain.eif')
    const dated = await build('1700000000', 'dated.eif')
    expect(dated).toMatchObject({ status: 0, stdout: plain.stdout })
    const { stdout } = await runCli('describe-eif', ['--eif-path', join(scratch, 'dated.eif')])
    expect(JSON.parse(stdout)).toMatchObject({
      Metadata: { BuildTime: '2023-11-14T22:13:20+00:00' },
    })
  })
})

async function makeLayoutWithUmoci(scratch: string): Promise<void> {
  const image = `${scratch}/layout:v1`
  await tool('umoci', 'init', '--layout', `${scratch}/layout`)
  await tool('umoci', 'new', '--image', image)
  await tool('umoci', 'unpack', '--image', image, `${scratch}/bundle`)
  await cp('/etc/passwd', `${scratch}/bundle/rootfs/passwd`)
  await makeRootfs(`${scratch}/bundle/rootfs`, names, 0o022)
  await tool('umoci', 'repack', '--image', image, `${scratch}/bundle`)
  await tool('umoci', 'config', '--image', image, '--config.entrypoint', '/bin/app')
}
