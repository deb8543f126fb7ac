// An image built with Debian 13's Node.js, C library and tools has the bytes of one that is built here,
// whatever it is made of, signed or not. scripts/debian-13.sh makes the root.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { tarOf, writeLayout, type Member } from '../fixtures/image/archive.ts'
import { runCli, tool } from '../fixtures/image/image-workbench.ts'

const scratch = mkdtempSync(join(tmpdir(), 'cloister-debian-13-'))
const [key, certificate] = [join(scratch, 'key.pem'), join(scratch, 'certificate.pem')]
const debian13 = ['bash', resolve('scripts/debian-13.sh'), resolve('build/debian-13')]
/** Takes the place of the Node.js that runs the tests, which is the next word. */
const nodeThere = [...debian13, 'sh', '-c', 'shift; exec /usr/bin/node "$@"', 'sh']

const members: readonly Member[] = [
  { name: 'bin', type: 'directory', mode: 0o755 },
  { name: 'bin/app', data: '#!/bin/sh\n', mode: 0o4755 },
  { name: 'bin/alias', type: 'link', linkname: 'bin/app' },
  { name: 'bin/sh', data: 'x'.repeat(300_000), mode: 0o755 },
  { name: 'srv/grüße', data: 'x', uid: 7, pax: { 'SCHILY.xattr.user.a': 'b' } },
  { name: 'etc/passwd', data: 'app:x:1000:1001::/:\n' },
]

beforeAll(async () => {
  const layers = [await tarOf(members), await tarOf([{ name: 'bin/.wh.alias' }])]
  const config = { Entrypoint: ['/bin/app'], User: 'app', Volumes: { '/srv': {} } }
  await writeLayout(join(scratch, 'layout'), { layers, config, tags: ['app:1'] })
  const source = `oci:${scratch}/layout`
  await tool('skopeo', 'copy', '-q', source, `docker-archive:${scratch}/docker.tar:app:1`)
  await tool('skopeo', 'copy', '-q', source, `oci-archive:${scratch}/oci.tar:app:1`)
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes', '-keyout', key]
  await tool('openssl', 'req', '-x509', ...newKey, '-subj', '/CN=a', '-out', certificate)
})
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true })
})

/** The image, and the measurements that are printed. */
async function build(args: readonly string[], wrapper: readonly string[] = []): Promise<string> {
  const output = join(mkdtempSync(join(scratch, 'out-')), 'app.eif')
  const flags = [...args, '--name', 'app', '--quiet', '--output-file', output]
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env
  const { status, stdout, stderr } = await runCli('build-enclave', flags, { wrapper, env })
  expect({ status, stderr }, args.join(' ')).toEqual({ status: 0, stderr: '' })
  return stdout + readFileSync(output, 'base64')
}

const images = ['oci:layout', 'oci-archive:oci.tar', 'docker-archive:docker.tar'].map((name) => [
  '--docker-uri',
  name.replace(':', `:${scratch}/`),
])
const hello = ['--docker-uri', `dir:${resolve('build/hello/rootfs')}`, '--entrypoint', '/hello']
const signing = ['--signing-certificate', certificate, '--private-key', key]

test('the root is one of Debian 13, with a Node.js and an OpenSSL of its own', async () => {
  const [program = '', ...words] = debian13
  const script = '. /usr/lib/os-release; echo $VERSION_ID; node -p process.versions.openssl'
  const [version, openssl] = (await tool(program, ...words, 'sh', '-c', script)).split('\n')
  expect(version).toBe('13')
  expect(openssl).toMatch(/^3\.5\./)
})

test('an image has the same bytes from every source on Debian 13 as here', async () => {
  const expected = await build(images[0] ?? [])
  for (const source of images)
    expect((await build(source, nodeThere)) === expected, source[1]).toBe(true)
})

test('hello, and a signed image, have the same bytes and PCRs on Debian 13 as here', async () => {
  for (const source of [hello, [...hello, ...signing], [...(images[2] ?? []), ...signing]]) {
    const [here, there] = [await build(source), await build(source, nodeThere)]
    expect(there === here, source.join(' ')).toBe(true)
  }
})
