// Errors about files, through the real program: which file, what is wrong with it in plain words, and
// advice for this case. No name of a system call, and none of a temporary file.

import { mkdirSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeChain, makeDocument } from '../../attestation/test/issuer/document.ts'
import type { ErrorCode } from '../../src/error-table.ts'
import { goldenBytes } from '../fixtures/eif/golden.ts'
import { makeKeyAndCertificate } from '../fixtures/eif/key-and-certificate.ts'
import { callCloister } from '../fixtures/in-process-cli.ts'
import { expectReported } from '../fixtures/reported-error.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

let directory: TemporaryDirectory

beforeAll(async () => {
  directory = await temporaryDirectory()
  const { key, certificate } = makeKeyAndCertificate('P-384')
  const files = {
    'golden.eif': goldenBytes,
    noise: 'noise\n'.repeat(200),
    'noise.json': '{"noise":1}',
    'key.pem': key,
    'signer.pem': certificate,
    'p256.pem': makeKeyAndCertificate('P-256').certificate,
    'short.sig': 'noise',
    'wrong.sig': new Uint8Array(96).fill(1),
    bzImage: kernel(),
    init: 'init',
    'document.cbor': await makeDocument(await makeChain()),
  }
  for (const [name, bytes] of Object.entries(files)) writeFileSync(directory.join(name), bytes)
  for (const name of ['rootfs', 'full', 'blobs']) mkdirSync(directory.join(name))
  writeFileSync(directory.join('full/file'), '')
})

afterAll(() => directory[Symbol.asyncDispose]())

/** As much of an x86 kernel as is looked at. */
function kernel(): Uint8Array {
  const bytes = new Uint8Array(1024)
  bytes.set([0x55, 0xaa, 0, 0, 0x48, 0x64, 0x72, 0x53], 0x1fe)
  return bytes
}

type Row = readonly [ErrorCode, command: string, says: string, advises: string]

const sign = 'sign-eif --eif-path @golden.eif --signing-certificate @signer.pem'
const own = '--kernel @bzImage --init @init'
const buildTo = `build --rootfs @rootfs --entrypoint /app --output-file`
const build = `${buildTo} @out.eif`
const extractTo = 'extract-eif --eif-path @golden.eif --output-dir'
const dockerDir = `build ${own} --output-file @out.eif --docker-dir`
const verify = 'verify --document @document.cbor'

const rows: readonly Row[] = [
  ['ERR_EIF_MAGIC', 'diff-eif @golden.eif @noise', '@noise: ', 'EIF file'],
  ['ERR_EIF_MAGIC', 'diff-eif @noise @golden.eif', '@noise: ', 'EIF file'],
  ['ERR_EIF_MAGIC', 'describe-eif --eif-path @noise', '@noise: ', 'EIF file'],
  ['ERR_EIF_MAGIC', 'pcr --eif @noise', '@noise: ', 'EIF file'],
  ['ERR_PROVENANCE_STATEMENT', 'reproduce @noise', '@noise: ', '--provenance FILE'],
  ['ERR_MANIFEST_FIELD', 'policy test @noise a.b:1', 'the file', 'docs/manifest.md'],
  ['ERR_EIF_UNREADABLE', 'inspect --eif-path @no', 'cannot read @no', 'Check the path.'],
  ['ERR_EIF_UNREADABLE', 'inspect --eif-path @noise/x', 'cannot read', 'is a file'],
  ['ERR_FILE_INPUT', `${sign} --import-signature @golden.eif`, '@golden.eif', 'right file'],
  ['ERR_EIF_SIGNING', `${sign} --import-signature @short.sig`, '@short.sig: ', '--export-to-be'],
  ['ERR_EIF_SIGNING', `${sign} --import-signature @wrong.sig`, '@wrong.sig: ', '--export-to-be'],
  ['ERR_SIGNING_KEY', `${sign} --private-key @no.pem`, 'cannot read @no.pem', 'Check the path.'],
  ['ERR_SIGNING_KEY', `${sign} --private-key @signer.pem`, '@signer.pem: a certificate', 'SEC1'],
  ['ERR_SIGNING_KEY', `${sign} --private-key @noise`, '@noise: not a private key', 'SEC1'],
  ['ERR_IMAGE_BLOBS', `${build} --arch aarch64 --blobs @blobs`, 'Image', '--kernel and --init'],
  ['ERR_IMAGE_BLOBS', `${build} --kernel @noise`, '@noise is not an x86 bzImage', 'bzImage'],
  ['ERR_IMAGE_BLOBS', `${build} --kernel @bzImage --init @no`, 'cannot read @no', '--init'],
  ['ERR_IMAGE_BLOBS', `${build} --blobs @blobs`, 'cannot read @blobs/bzImage', 'npm run setup'],
  [
    'ERR_IMAGE_CONFIG',
    `build ${own} --rootfs @rootfs --output-file @out.eif`,
    'no program',
    '--entrypoint /app',
  ],
  ['ERR_EIF_METADATA', `${build} ${own} --metadata @noise`, '--metadata: @noise: ', '4096 bytes'],
  [
    'ERR_FILE_OUTPUT',
    `${buildTo} @no/out.eif ${own}`,
    'there is no directory @no',
    'Create the directory',
  ],
  ['ERR_FILE_OUTPUT', `${buildTo} /proc/out.eif ${own}`, 'cannot write', 'another directory'],
  ['ERR_IMAGE_DOCKERFILE', `${dockerDir} @no`, 'cannot read @no: no such', 'Give the directory'],
  ['ERR_IMAGE_DOCKERFILE', `${dockerDir} @noise`, '@noise is not a directory', 'the directory'],
  ['ERR_IMAGE_DOCKERFILE', `${dockerDir} @full`, '@full has no Dockerfile', 'the directory'],
  ['ERR_FILE_OUTPUT', `${buildTo} /dev/full ${own}`, 'no space left', 'another one'],
  ['ERR_FILE_OUTPUT', `${buildTo} @full ${own}`, '@full is a directory', 'new file'],
  ['ERR_FILE_OUTPUT', `${extractTo} @full`, 'the directory is not empty', 'new or empty'],
  [
    'ERR_FILE_OUTPUT',
    `${extractTo} @no/parts`,
    'the directory above it does not exist',
    'Create that directory',
  ],
  ['ERR_FILE_OUTPUT', `${buildTo} @${'x'.repeat(230)} ${own}`, 'name too long', 'What to do'],
  ['ERR_FILE_OUTPUT', `${extractTo} @noise/parts`, 'not a directory', 'new or empty'],
  ['ERR_FILE_OUTPUT', `${extractTo} @noise`, 'it is not a directory', 'new or empty'],
  ['ERR_CLI_ARGUMENT', `${verify} --root @noise`, '--root: @noise: ', 'PEM or DER'],
  [
    'ERR_CLI_ARGUMENT',
    `${verify} --aws-root --measurements @noise`,
    '--measurements: @noise is not JSON',
    'build-enclave',
  ],
  [
    'ERR_CLI_ARGUMENT',
    `${verify} --aws-root --at document --max-age 5`,
    '--max-age cannot be used',
    '--at a time',
  ],
]

const inDirectory = (text: string): string => text.replaceAll('@', `${directory.join('')}/`)

function call(command: string): ReturnType<typeof callCloister> {
  return callCloister(inDirectory(command).split(' '), {
    CLOISTER_STATE_DIR: directory.join('s'),
    CLOISTER_RUNTIME_DIR: directory.join('r'),
  })
}

test.each(rows)('%s of %s', async (code, command, says, advises) => {
  const result = await call(command)
  expectReported(code, result, `cloister ${command}`)
  expect(result.stderr).toContain(inDirectory(says))
  const advice = result.stderr.trimEnd().split('\n').at(-1)
  expect(advice).toContain(advises)
  expect(result.stderr).not.toMatch(/\bE[A-Z]{4,}: |\.[0-9a-f]{8}-[0-9a-f]{4}-/)
})

test.each([
  ['CLOISTER_STATE_DIR', 'noise', 'it is not a directory'],
  ['CLOISTER_RUNTIME_DIR', 'noise/r', 'a part of its path is not a directory'],
])('%s that is %s', async (variable, path, words) => {
  const { stderr } = await callCloister(['list'], {
    CLOISTER_STATE_DIR: directory.join('s'),
    CLOISTER_RUNTIME_DIR: directory.join('r'),
    [variable]: directory.join(path),
  })
  expect(stderr).toContain(words)
  expect(stderr).toContain(`What to do: Set ${variable} `)
  expect(stderr).not.toMatch(/\bE[A-Z]{4,}: /)
})

/** What the verifier refuses has its own codes, and the command line's advice. */
test.each([
  ['--root @p256.pem', 'ERR_X509_ALGORITHM: --root: @p256.pem: ', 'P-384'],
  ['--aws-root --at document', 'ERR_CHAIN_ROOT_UNTRUSTED', '--root FILE'],
  [
    '--aws-root --measurements @noise.json',
    'ERR_MEASUREMENTS_FORMAT: --measurements: @noise.json: ',
    '--measurements what',
  ],
])('verify %s', async (flags, says, advises) => {
  const { stderr, status } = await call(`${verify} ${flags}`)
  expect(stderr.startsWith(inDirectory(says)), stderr).toBe(true)
  expect(stderr.trimEnd().split('\n').at(-1)).toContain(advises)
  expect(status).toBe(1)
})

test('every option that the advice for the verifier names is one of verify', async () => {
  const { verifierAdvice } = await import('../../src/cli/verifier-advice.ts')
  const { stdout } = await call('verify --help')
  const options = Object.values(verifierAdvice).flatMap(
    (text) => text.match(/--[a-z][a-z-]+/g) ?? [],
  )
  const ofRunEnclave = '--debug-mode'
  for (const option of options) if (option !== ofRunEnclave) expect(stdout).toContain(option)
})
