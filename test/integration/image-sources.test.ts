// One image, brought in by every way there is: the enclave image is the same to the byte, whichever
// way, whoever builds it and where. The registry, skopeo, buildah and umoci are the real ones.

import { createReadStream, mkdtempSync, rmSync } from 'node:fs'
import {
  chmod,
  copyFile,
  cp,
  mkdir,
  readFile,
  readdir,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { diffImages } from '../../src/image/index.ts'
import { asOtherUser } from '../fixtures/other-user.ts'

import { tarOf, writeLayout, type Member } from '../fixtures/image/archive.ts'
import {
  compileCli,
  makeBlobs,
  printedCode,
  runCli,
  tool,
  type Outcome,
} from '../fixtures/image/image-workbench.ts'
import { dockerConfig, startRegistry, type Registry } from '../fixtures/image/image-registry.ts'

const isRoot = process.getuid?.() === 0
const scratch = mkdtempSync(join(tmpdir(), 'cloister-sources-'))
const layout = join(scratch, 'layout')
let blobs: string
let registry: Registry

const lower: readonly Member[] = [
  { name: 'bin', type: 'directory', mode: 0o755 },
  { name: 'bin/sh', data: 'a shell', mode: 0o755 },
  { name: 'bin/app', data: '#!/bin/sh\n', mode: 0o4755 },
  { name: 'bin/alias', type: 'link', linkname: 'bin/app' },
  { name: 'etc/passwd', data: 'app:x:1000:1001::/:\n' },
  { name: 'etc/secret', data: 'removed' },
]
const upper: readonly Member[] = [
  { name: 'etc/.wh.secret' },
  { name: 'srv/grüße', data: 'x', uid: 7 },
]
const volumes = { '/srv/b': {}, '/srv/a': {} }
const config = {
  Volumes: volumes,
  Entrypoint: ['/bin/app'],
  Cmd: ['--flag'],
  Env: ['A=b'],
  User: 'app',
}

beforeAll(async () => {
  await compileCli()
  await chmod(scratch, 0o755)
  blobs = await makeBlobs(join(scratch, 'blobs'))
  const layers = [await tarOf(lower), await tarOf(upper)]
  await writeLayout(layout, { layers, config, tags: ['localhost/team/app:1.2'] })
  registry = await startRegistry(join(scratch, 'registry'))
  const copy = (...args: readonly string[]): Promise<string> =>
    tool('skopeo', 'copy', '-q', ...args)
  const source = `oci:${layout}:localhost/team/app:1.2`
  const image = `${registry.host}/team/app`
  const plainHttp = '--dest-tls-verify=false'
  await copy(source, `docker-archive:${scratch}/docker.tar:team/app:1.2`)
  await copy(source, `oci-archive:${scratch}/oci.tar:team/app:1.2`)
  await copy('--dest-compress-format=zstd', '--dest-compress', source, `oci:${scratch}/zstd:app`)
  await copy(plainHttp, source, `docker://${image}:oci`)
  await copy(plainHttp, '--format=v2s2', source, `docker://${image}:v2s2`)
  const key = `${scratch}/signer.key`
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes', '-keyout', key]
  await tool(
    'openssl',
    'req',
    '-x509',
    ...newKey,
    '-subj',
    '/CN=a',
    '-out',
    `${scratch}/signer.crt`,
  )
  await chmod(key, 0o644)
  for (const name of ['docker', 'oci']) {
    await tool('sh', '-c', `gzip -c ${scratch}/${name}.tar > ${scratch}/${name}.tgz`)
  }
})

afterAll(async () => {
  await registry[Symbol.asyncDispose]()
  rmSync(scratch, { recursive: true, force: true })
})

type BytesOptions = Parameters<typeof runCli>[2] & { readonly isSigned?: boolean }

function build(
  reference: string,
  output: string,
  options: Parameters<typeof runCli>[2] = {},
  more: readonly string[] = [],
): Promise<Outcome> {
  const flags = ['--docker-uri', reference, '--name', 'app', '--blobs', blobs, '--quiet', ...more]
  return runCli('build-enclave', [...flags, '--output-file', output], options)
}

/** Of the image that is built; a signed one where the options say so. */
async function bytesOf(reference: string, options: BytesOptions = {}): Promise<string> {
  const { isSigned = false, ...rest } = options
  const output = join(mkdtempSync(join(scratch, 'out-')), 'app.eif')
  if (rest.wrapper !== undefined) await chmod(join(output, '..'), 0o777)
  const signer = [
    '--signing-certificate',
    `${scratch}/signer.crt`,
    '--private-key',
    `${scratch}/signer.key`,
  ]
  const { status, stderr } = await build(reference, output, rest, isSigned ? signer : [])
  expect({ status, stderr }, reference).toEqual({ status: 0, stderr: '' })
  return (await readFile(output)).toString('base64')
}

describe('the same image', () => {
  it('gives the same bytes from a layout, archives, a registry and any packing of its layers', async () => {
    const image = `${registry.host}/team/app`
    const expected = await bytesOf(`oci:${layout}:localhost/team/app:1.2`)
    for (const reference of [
      `oci:${layout}`,
      `oci:${scratch}/zstd:app`,
      `oci-archive:${scratch}/oci.tar:team/app:1.2`,
      `oci-archive:${scratch}/oci.tgz`,
      `docker-archive:${scratch}/docker.tar:team/app:1.2`,
      `docker-archive:${scratch}/docker.tgz`,
      `docker://${image}:oci`,
      `${image}:v2s2`,
    ]) {
      expect((await bytesOf(reference)) === expected, reference).toBe(true)
    }
  })

  it('gives the same bytes to another user, with another umask, time zone, locale and directory', async () => {
    const expected = await bytesOf(`oci:${layout}`)
    const wrapper = asOtherUser('077')
    const home = join(scratch, 'home')
    await mkdir(home)
    await chmod(home, 0o777)
    const env = {
      PATH: process.env['PATH'],
      HOME: home,
      XDG_RUNTIME_DIR: home,
      TZ: 'Asia/Kathmandu',
      LC_ALL: 'tr_TR.UTF-8',
    }
    const options = { wrapper, env, cwd: home }
    for (const reference of [
      `docker-archive:${scratch}/docker.tar`,
      `${registry.host}/team/app:v2s2`,
    ]) {
      expect((await bytesOf(reference, options)) === expected, reference).toBe(true)
    }
  })

  it('gives the same bytes when it is signed, wherever it came from and whoever signs', async () => {
    const wrapper = asOtherUser('077')
    const env = { PATH: process.env['PATH'], HOME: '/nonexistent', TZ: 'Asia/Kathmandu' }
    const expected = await bytesOf(`oci:${layout}`, { isSigned: true })
    expect(expected).not.toBe(await bytesOf(`oci:${layout}`))
    for (const reference of [`docker-archive:${scratch}/docker.tgz`, `oci:${scratch}/zstd:app`]) {
      const signed = await bytesOf(reference, { isSigned: true, wrapper, env, cwd: scratch })
      expect(signed === expected, reference).toBe(true)
    }
  })
})

describe.runIf(isRoot)('a root directory', () => {
  it('gives the same image as a container image made of it, but for what the metadata say of the latter', async () => {
    const rootfs = join(scratch, 'rootfs')
    await mkdir(rootfs)
    const script = `
      mkdir -p dev usr/bin home/user tmp && chmod 700 home/user && chown 1000:1000 home/user
      chmod 1777 tmp && mknod dev/console c 5 1 && mkfifo dev/initctl
      head -c 2000000 /dev/urandom > usr/bin/tool && chmod 4755 usr/bin/tool
      for i in $(seq 100); do ln usr/bin/tool usr/bin/tool$i; done
      echo secret > usr/shadow && chmod 600 usr/shadow && chown 0:42 usr/shadow
      echo x > "$(printf 'latin1-\\344')" && ln -s usr/bin bin
      cd .. && tar -C rootfs --numeric-owner -cf rootfs.tar .`
    await tool('sh', '-c', `cd ${rootfs} && ${script}`)
    const image = join(scratch, 'rootfs-layout')
    await writeLayout(image, { layers: [await readFile(`${rootfs}.tar`)], config: {} })
    const build = async (name: string, ...source: readonly string[]): Promise<string> => {
      const output = join(scratch, name)
      const labels = ['--name=x', '--version=1', '--entrypoint=/bin/tool', '--blobs', blobs]
      const flags = [...source, ...labels, '--output-file', output]
      const { status, stderr } = await runCli('build-enclave', flags)
      expect({ status, stderr }).toMatchObject({ status: 0 })
      expect(stderr.match(/^Note: .*$/gm)).toHaveLength(1)
      return output
    }
    const made = await build('image.eif', '--docker-uri', `oci:${image}`)
    expect((await stat(made)).size).toBeLessThan(2_200_000)
    const ofRootfs = await build('rootfs.eif', '--rootfs', rootfs)
    const ofDirectory = await build('dir.eif', '--docker-uri', `dir:${rootfs}`)
    expect((await readFile(ofRootfs)).equals(await readFile(ofDirectory))).toBe(true)
    const { pcrs, sections } = await diffImages(made, ofRootfs)
    expect({ pcrs, types: sections.map(({ type }) => type) }).toEqual({
      pcrs: [],
      types: ['metadata'],
    })
  })
})

describe('a Docker daemon', () => {
  it('is asked for the image where DOCKER_HOST says', async () => {
    // The daemon's answers to `docker save`, from a stand-in that has one image.
    const socket = join(scratch, 'docker.sock')
    const asked: string[] = []
    const daemon = createServer((request, response) => {
      asked.push(request.url ?? '')
      if (request.url?.includes('/get') === true) {
        createReadStream(join(scratch, 'docker.tar')).pipe(response)
      } else response.end('OK')
    })
    await new Promise<void>((resolve) => daemon.listen(socket, resolve))
    try {
      const env = { ...process.env, DOCKER_HOST: `unix://${socket}` }
      const expected = await bytesOf(`oci:${layout}`)
      expect((await bytesOf('docker-daemon:team/app:1.2', { env })) === expected).toBe(true)
      expect(asked.join()).toContain(encodeURIComponent('team/app:1.2'))
    } finally {
      daemon.close()
    }
  })
})

describe('a registry that wants a login', () => {
  it('is read with the credentials of the user, and without them a coded error', async () => {
    const directory = join(scratch, 'private')
    await using locked = await startRegistry(directory, { hasLogin: true })
    const image = `${locked.host}/app:1`
    const authFile = join(directory, 'config.json')
    await writeFile(authFile, dockerConfig(locked.host))
    const push = ['--dest-tls-verify=false', '--dest-authfile', authFile]
    await tool('skopeo', 'copy', '-q', ...push, `oci:${layout}`, `docker://${image}`)

    const home = join(directory, 'home')
    await mkdir(join(home, '.docker'), { recursive: true })
    const env = { PATH: process.env['PATH'], HOME: home }
    const output = join(directory, 'x.eif')
    const refused = await build(image, output, { env })
    expect(printedCode(refused)).toBe('ERR_IMAGE_PULL')
    expect(refused.stderr).toMatch(/^ *\| +skopeo: /m)
    await expect(readFile(output)).rejects.toThrow('ENOENT')

    const docker = { ...env, DOCKER_CONFIG: directory }
    expect(await build(image, output, { env: docker })).toMatchObject({ status: 0 })
    await copyFile(authFile, join(home, '.docker/config.json'))
    expect(await build(image, output, { env })).toMatchObject({ status: 0 })
  })
})

describe('a Dockerfile', () => {
  const storage = join(scratch, 'storage')
  const env = { ...process.env, STORAGE_DRIVER: 'vfs', CONTAINERS_STORAGE_CONF: `${storage}.conf` }

  it('is built with its RUN steps, to the same bytes each time, and leaves no image behind', async () => {
    const lines = [
      '[storage]',
      'driver = "vfs"',
      `graphroot = "${storage}"`,
      `runroot = "${storage}-run"`,
    ]
    await writeFile(`${storage}.conf`, lines.join('\n'))
    const outputs: string[] = []
    for (const name of ['one', 'two']) {
      const context = join(scratch, `context-${name}`)
      await mkdir(context)
      // A shell and its libraries, to have something to run.
      await tool(
        'sh',
        '-c',
        `cp --parents -L /bin/sh $(ldd /bin/sh | grep -o '/[^ ]*') '${context}'`,
      )
      const dockerfile = ['FROM scratch', 'COPY . /', 'RUN echo made > /made', 'CMD ["/bin/sh"]']
      await writeFile(join(context, 'Dockerfile'), dockerfile.join('\n'))
      const output = join(scratch, `${name}.eif`)
      const flags = ['--docker-dir', context, '--docker-uri', 'made:1', '--blobs', blobs]
      const outcome = await runCli('build-enclave', [...flags, '--output-file', output], { env })
      expect(outcome, outcome.stderr).toMatchObject({ status: 0 })
      outputs.push((await readFile(output)).toString('base64'))
    }
    expect(outputs[0] === outputs[1]).toBe(true)
    expect(Buffer.from(outputs[0] ?? '', 'base64').includes('made\n')).toBe(true)
    const images = await readFile(join(storage, 'vfs-images/images.json'), 'utf8').catch(() => '[]')
    expect(JSON.parse(images)).toEqual([])
  })

  it('that fails is a coded error with the words of buildah', async () => {
    const context = join(scratch, 'context-bad')
    await mkdir(context)
    await writeFile(join(context, 'Dockerfile'), 'FROM scratch\nCOPY missing /\n')
    const flags = ['--docker-dir', context, '--blobs', blobs, '--output-file', `${scratch}/bad.eif`]
    const outcome = await runCli('build-enclave', flags, { env })
    expect(printedCode(outcome)).toBe('ERR_IMAGE_DOCKERFILE')
    expect(outcome.stderr).toMatch(/^ *\| +buildah: .*missing/m)
    const empty = ['--docker-dir', blobs, '--blobs', blobs, '--output-file', `${scratch}/bad.eif`]
    expect(printedCode(await runCli('build-enclave', empty))).toBe('ERR_IMAGE_DOCKERFILE')
  })
})

describe('what is missing', () => {
  it('is named: the tool, and how to get it; the tags that there are', async () => {
    const bin = join(scratch, 'bin')
    await mkdir(bin)
    await symlink(process.execPath, join(bin, 'node'))
    const without = { env: { ...process.env, PATH: bin } }
    const output = join(scratch, 'none.eif')
    const outcome = await build('busybox', output, without)
    expect(printedCode(outcome)).toBe('ERR_IMAGE_TOOL_MISSING')
    expect(outcome.stderr).toContain('apt-get install skopeo')
    for (const reference of [`oci:${layout}:none`, `docker-archive:${scratch}/docker.tar:none`]) {
      const wrong = await build(reference, output)
      expect(printedCode(wrong)).toBe('ERR_IMAGE_TAG')
      expect(wrong.stderr).toContain('team/app:1.2')
    }
  })

  it('or damaged ends with a coded error, and leaves neither image nor temporary file', async () => {
    const temporary = join(scratch, 'tmp')
    await mkdir(temporary)
    const damaged = join(scratch, 'damaged')
    await cp(layout, damaged, { recursive: true })
    const digests = await readdir(join(damaged, 'blobs/sha256'))
    for (const name of digests) await writeFile(join(damaged, 'blobs/sha256', name), '{}')
    const env = { ...process.env, TMPDIR: temporary }
    for (const [reference, code] of [
      [`oci:${damaged}`, 'ERR_IMAGE_DIGEST'],
      [`docker://${registry.host}/none`, 'ERR_IMAGE_PULL'],
      [`docker-archive:${layout}/index.json`, 'ERR_IMAGE_TAR'],
      [`dir:${layout}/index.json`, 'ERR_IMAGE_SOURCE_MISSING'],
      ['docker-daemon:app', 'ERR_IMAGE_PULL'],
    ] as const) {
      const outcome = await build(reference, join(scratch, 'none.eif'), { env })
      expect(printedCode(outcome), reference).toBe(code)
      expect(await readdir(temporary)).toEqual([])
    }
    const nowhere = { env: { ...process.env, TMPDIR: join(scratch, 'nowhere') } }
    const outcome = await build(`oci:${layout}`, join(scratch, 'none.eif'), nowhere)
    expect(printedCode(outcome)).toBe('ERR_FILE_TEMPORARY')
  })
})
