// Errors of images as a person sees them: reading, building and signing them. See failing-host.ts.

import { readFileSync, rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  assemble,
  golden,
  goldenBytes,
  mendCrc,
  patch,
  withField,
} from '../../fixtures/eif/golden.ts'
import { failingHost, type Row } from '../../fixtures/failing-host.ts'
import { tarOf, writeLayout, type LayoutParts, type Member } from '../../fixtures/image/archive.ts'
import { helloRootfs } from '../../host.ts'

const here = failingHost()

const describeImage = (bytes: Uint8Array | string) => (): string =>
  `cloister describe-eif --eif-path '${here.file('damaged.eif', bytes)}'`

const buildImage = (...words: readonly string[]) =>
  `cloister build-enclave --output-file out.eif ${words.join(' ')}`

const buildHello = (...words: readonly string[]): string =>
  buildImage('--rootfs', helloRootfs, '--entrypoint', '/hello', ...words)

/** Builds from an OCI layout of one layer with these members. */
const buildLayer = (members: readonly Member[], parts: Partial<LayoutParts> = {}) =>
  async function build(): Promise<string> {
    rmSync(here.host.path('layout'), { recursive: true, force: true })
    await writeLayout(here.host.path('layout'), { layers: [await tarOf(members)], ...parts })
    return buildImage('--docker-uri', 'oci:layout:latest')
  }

/** Makes key.pem and its certificate signer.pem, valid for so many days, which may be negative. */
const makeSigner = (days: number): string =>
  `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -subj /CN=x \
    -keyout key.pem -out signer.csr 2>/dev/null &&
  openssl x509 -req -in signer.csr -key key.pem -days ${String(days)} -out signer.pem 2>/dev/null`
const SIGNED = ['--signing-certificate', 'signer.pem', '--private-key', 'key.pem'] as const

/** A signed image whose kernel was changed afterwards. */
async function tampered(): Promise<string> {
  expect((await here.host.shell(`${makeSigner(2)}; ${buildHello(...SIGNED)}`)).status).toBe(0)
  const bytes = readFileSync(here.host.path('out.eif'))
  const inKernel = 4096
  const changed = mendCrc(patch(bytes, inKernel, [(bytes[inKernel] ?? 0) ^ 1]))
  return `cloister pcr --eif '${here.file('tampered.eif', changed)}'`
}

const metadataOffset = golden.sections[2]?.dataOffset ?? 0
const app: readonly Member[] = [{ name: 'app', data: 'x' }]

const rows: readonly Row[] = [
  [
    'ERR_FILE_OUTPUT',
    'a missing output directory',
    buildHello().replace('--output-file out.eif', '--output-file no/x.eif'),
  ],
  [
    'ERR_MANIFEST_YAML',
    'a manifest that is not YAML',
    () => buildImage('--manifest', here.file('cloister.yaml', 'a: [')),
  ],
  [
    'ERR_MANIFEST_FIELD',
    'a manifest with an unknown key',
    () => buildImage('--manifest', here.file('cloister.yaml', 'cloister: 1\negres: []\n')),
  ],
  [
    'ERR_KEEPER_IMAGE',
    'an image for ARM',
    () => `cloister run --eif-path '${here.file('arm.eif', withField(7, 1))}'`,
  ],
  ['ERR_EIF_MAGIC', 'a file of noise', describeImage('noise'.repeat(999))],
  ['ERR_EIF_VERSION', 'an old version', describeImage(withField(4, 0, 3))],
  ['ERR_EIF_HEADER', 'a reserved field', describeImage(withField(0x18, 0, 1))],
  ['ERR_EIF_TRUNCATED', 'half a file', describeImage(goldenBytes.slice(0, 700))],
  ['ERR_EIF_TRAILING_BYTES', 'a byte more', describeImage(Uint8Array.of(...goldenBytes, 0))],
  ['ERR_EIF_SECTION_TABLE', 'a wrong size', describeImage(withField(548 + 11, 17))],
  ['ERR_EIF_SECTION_TYPE', 'a section of type 6', describeImage(withField(549, 6))],
  ['ERR_EIF_SECTION_MISSING', 'no kernel', describeImage(assemble([1, 2, 3, 4]))],
  ['ERR_EIF_SECTION_REPEATED', 'two kernels', describeImage(assemble([0, 1, 2, 3, 0]))],
  ['ERR_EIF_SECTION_SIZE', 'an empty kernel', describeImage(assemble([0, 1, 2, 3, 4], {}, 0))],
  ['ERR_EIF_SECTION_ORDER', 'a ramdisk first', describeImage(assemble([3, 0, 1, 2]))],
  [
    'ERR_EIF_CRC',
    'a wrong checksum',
    () => `cloister pcr --eif '${here.file('damaged.eif', patch(goldenBytes, 0x220, [0]))}'`,
  ],
  ['ERR_EIF_METADATA', 'broken metadata', describeImage(withField(metadataOffset, 0x5b))],
  ['ERR_EIF_CMDLINE', 'a control character', buildHello('--cmdline', "$'a\\001b'")],
  [
    'ERR_EIF_CERTIFICATE',
    'no certificate',
    () => `cloister pcr --signing-certificate '${here.file('noise.pem', 'noise')}'`,
  ],
  [
    'ERR_EIF_CERTIFICATE_DATES',
    'an expired certificate',
    () => `${makeSigner(-1)}; ${buildHello(...SIGNED)} > /dev/null &&
      cloister run --eif-path out.eif --memory 128`,
  ],
  [
    'ERR_EIF_SIGNING',
    'the key of another certificate',
    () => `${makeSigner(2)}; cp key.pem other.pem; ${makeSigner(2)}
      ${buildHello('--signing-certificate', 'signer.pem', '--private-key', 'other.pem')}`,
  ],
  [
    'ERR_SIGNING_KEY',
    'a key file that is missing',
    () => `${makeSigner(2)}; cp "$EIF" out.eif
      cloister sign-eif --eif-path out.eif --signing-certificate signer.pem --private-key no.pem`,
  ],
  ['ERR_EIF_SIGNATURE_INVALID', 'an image changed since it was signed', tampered],
  ['ERR_IMAGE_REFERENCE', 'a path without its kind', buildImage('--docker-uri', './busybox')],
  ['ERR_IMAGE_SOURCE_MISSING', 'a missing directory', buildImage('--rootfs', '/no/such')],
  [
    'ERR_IMAGE_LAYOUT',
    'an empty directory as layout',
    'mkdir -p l; echo "{}" > l/oci-layout; echo "{}" > l/index.json; ' +
      buildImage('--docker-uri', 'oci:l:x'),
  ],
  ['ERR_IMAGE_TAG', 'an unknown tag', buildLayer(app, { tags: ['other'] })],
  ['ERR_IMAGE_ARCHITECTURE', 'an image for ARM', buildLayer(app, { architecture: 'arm64' })],
  [
    'ERR_IMAGE_DIGEST',
    'a wrong diff_id',
    buildLayer(app, { diffIds: [`sha256:${'0'.repeat(64)}`] }),
  ],
  ['ERR_IMAGE_LAYER', 'a layer of noise', buildLayer(app, { packed: [Buffer.from('noise')] })],
  ['ERR_IMAGE_PATH', 'a path that leads out', buildLayer([{ name: '../app', data: 'x' }])],
  [
    'ERR_IMAGE_ENTRY',
    'a hard link to nothing',
    buildLayer([{ name: 'l', type: 'link', linkname: 'none' }]),
  ],
  ['ERR_IMAGE_CONFIG', 'nothing to run', buildLayer(app, { config: {} })],
  [
    'ERR_IMAGE_USER',
    'an unknown user',
    buildLayer(app, { config: { Entrypoint: ['/app'], User: 'x' } }),
  ],
  ['ERR_IMAGE_BLOBS', 'no kernel', buildHello('--blobs', '/no/such')],
  [
    'ERR_IMAGE_ROOT',
    'a command line that lets the kernel drop the ramdisks',
    buildHello('--root', 'squashfs', '--cmdline', 'panic=-1'),
  ],
  [
    'ERR_IMAGE_TOOL_MISSING',
    'a missing writer of root file systems',
    `CLOISTER_SQUASHFS=/no/such ${buildHello('--root', 'squashfs')}`,
  ],
]

describe('a person sees', () => {
  test.each(rows)('%s for %s', async (code, _what, script) => {
    await here.fails(code, script)
  })

  test('advice for what skopeo could not do', async () => {
    const pull = (image: string): string => buildImage('--docker-uri', image)
    const daemon = `DOCKER_HOST=unix:///no/such.sock ${pull('docker-daemon:app:latest')}`
    const { stderr } = await here.fails('ERR_IMAGE_PULL', daemon)
    expect(stderr).toMatch(/What to do: Start the Docker daemon/)
    const refused = await here.fails('ERR_IMAGE_PULL', pull('localhost:1/app'))
    expect(refused.stderr).toMatch(/What to do: Check the registry's host name and port/)
  })

  test('which ports an image serves when its start begins, and not when it is refused', async () => {
    const manifest = 'cloister: 1\nname: web\nversion: "1"\nports: [5005, 80]\n'
    const build = buildHello('--manifest', here.file('cloister.yaml', manifest))
    expect((await here.host.shell(build)).status).toBe(0)
    const start = (options: string): string =>
      `CLOISTER_QEMU=/bin/false cloister run --eif-path out.eif --accelerator tcg ${options}`
    const begun = await here.fails('ERR_VMM_START', start('--memory 128'))
    expect(begun.stderr).toContain('--guest-ports 80,5005 opens them')
    const refused = await here.fails('ERR_KEEPER_HOST_MEMORY', start('--memory 9T'))
    expect(refused.stderr).not.toContain('opens them')
    const open = await here.fails('ERR_VMM_START', start('--memory 128 --guest-ports all'))
    expect(open.stderr).not.toContain('opens them')
  })

  test('no sign of a start when the image is refused', async () => {
    const script = `cloister run --eif-path '${here.file('arm.eif', withField(7, 1))}'`
    const { stderr } = await here.fails('ERR_KEEPER_IMAGE', script)
    expect(stderr).not.toContain('allocating')
  })

  test('one code for an image that cannot be read, in every command and for every reason', async () => {
    const reasons = { missing: '/no/such.eif', directory: '/etc', device: '/dev/null', empty: '' }
    for (const [reason, path] of Object.entries(reasons)) {
      for (const command of ['run --eif-path', 'describe-eif --eif-path', 'pcr --eif']) {
        const { stderr } = await here.fails('ERR_EIF_UNREADABLE', `cloister ${command} '${path}'`)
        expect(stderr, reason).not.toContain('ERR_INTERNAL')
      }
    }
  })
})
