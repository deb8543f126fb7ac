// What `cloister verify` reads: a document in every form it is kept in, roots and other files, and
// refusals of what is none of them. Each case is the real command.

import { spawn, execFileSync } from 'node:child_process'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeChain, makeDocument, NOW_MS } from '../../attestation/test/issuer/document.ts'
import { once } from '../fixtures/once.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

const PROGRAM = join(import.meta.dirname, '../../bundle/cli/main.js')

let directory: TemporaryDirectory
let document: Buffer
let rootPem: string

beforeAll(async () => {
  directory = await temporaryDirectory()
  const chain = await makeChain()
  document = Buffer.from(await makeDocument(chain, { user_data: new Uint8Array() }))
  rootPem = pem('CERTIFICATE', Buffer.from(chain.root.certificate))
  const other = pem('CERTIFICATE', Buffer.from((await makeChain()).root.certificate))
  file('root.pem', rootPem)
  file('bundle.pem', `# another root\n${other}\n# the right one\n${rootPem}`)
  file('root.der', chain.root.certificate)
})

afterAll(() => directory[Symbol.asyncDispose]())

function file(name: string, contents: string | Uint8Array): string {
  const path = directory.join(name)
  writeFileSync(path, contents)
  return path
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').replace(/(.{64})/g, '$1\n')
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`
}

interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `cloister verify` with these flags at the time of the document. */
async function verify(flags: readonly string[], input?: Uint8Array): Promise<Result> {
  const at = ['--at', new Date(NOW_MS).toISOString()]
  const child = spawn(process.execPath, [PROGRAM, 'verify', ...at, ...flags])
  child.stdin.on('error', () => undefined).end(input)
  const exited = once(child, 'exit') as Promise<[number | null]>
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    exited,
  ])
  return { status, stdout, stderr }
}

/** The code that an error begins with, after nitro-cli's number where it has one. */
const codeOf = (stderr: string): string | undefined =>
  /^(?:\[ E\d+ \] )?(ERR_\w+): /.exec(stderr)?.[1]

const root = (): readonly string[] => ['--root', directory.join('root.pem')]

async function expectVerified(flags: readonly string[], input?: Uint8Array): Promise<void> {
  const { status, stdout, stderr } = await verify(flags, input)
  expect([stderr, status]).toEqual(['', 0])
  expect(JSON.parse(stdout)).toMatchObject({ Verified: true })
}

async function expectRefused(code: string, flags: readonly string[], input?: Uint8Array) {
  const { status, stdout, stderr } = await verify(flags, input)
  expect([codeOf(stderr), stdout]).toEqual([code, ''])
  expect(status).not.toBe(0)
}

describe('a document is read', () => {
  const forms: readonly [form: string, write: (bytes: Buffer) => string | Uint8Array][] = [
    ['cbor', (bytes) => bytes],
    ['base64', (bytes) => `${bytes.toString('base64')}\n`],
    ['base64', (bytes) => bytes.toString('base64').replace(/(.{76})/g, '$1\r\n')],
    ['base64url', (bytes) => bytes.toString('base64url')],
    ['hex', (bytes) => bytes.toString('hex')],
    ['hex', (bytes) => `0x${bytes.toString('hex').toUpperCase()}\n`],
    ['pem', (bytes) => pem('ATTESTATION DOCUMENT', bytes)],
  ]
  test('in every form, recognised and forced, tagged and untagged', async () => {
    const tagged = Buffer.concat([Buffer.of(0xd2), document])
    const cases = forms.map(
      ([form, write], i) =>
        [form, file(`form-${i}`, write(i % 3 === 0 ? tagged : document))] as const,
    )
    await Promise.all(
      cases.map(async ([form, path], i) => {
        const forced = i % 2 === 0 ? [] : ['--format', form]
        await expectVerified(['--document', path, ...forced, ...root()])
      }),
    )
  })

  test('from standard input', async () => {
    const base64 = Buffer.from(document.toString('base64'))
    await expectVerified(['--document', '-', ...root()], base64)
  })

  test('and refused plainly when it is something else', async () => {
    const other: readonly [string | Uint8Array, format: string][] = [
      ['', 'auto'],
      ['{"document": "hE"}', 'auto'],
      ['what is this?', 'auto'],
      [Buffer.from('a text in base64').toString('base64'), 'auto'],
      [rootPem, 'auto'],
      [pem('ATTESTATION DOCUMENT', document).slice(0, -20), 'auto'],
      [document.toString('base64').slice(0, -3), 'base64'],
      [document.toString('hex').slice(1), 'auto'],
      [document, 'hex'],
      [document.toString('hex'), 'pem'],
    ]
    await Promise.all(
      other.map(async ([contents, format], i) => {
        const path = file(`other-${i}`, contents)
        await expectRefused('ERR_CLI_ARGUMENT', ['--document', path, '--format', format, ...root()])
      }),
    )
    const image = file('image.eif', Buffer.from('.eif\0\0\0\x04', 'latin1'))
    await expectRefused('ERR_CLI_ARGUMENT', ['--document', image, ...root()])
    const padded = file('padded', Buffer.concat([document, Buffer.alloc(32)]))
    await expectRefused('ERR_CBOR_TRAILING_BYTES', ['--document', padded, ...root()])
  })
})

describe('a file that verify is given', () => {
  test('is refused at once when it is a device, a FIFO, a directory or huge', async () => {
    const path = file('document', document)
    const fifo = directory.join('fifo')
    execFileSync('mkfifo', [fifo])
    const huge = file('huge', '')
    truncateSync(huge, 2 ** 30)
    const flags = [
      ...[fifo, huge, '/dev/zero'].map((bad) => ['--document', bad, ...root()]),
      ...[fifo, '/dev/zero', '/'].map((bad) => ['--document', path, '--root', bad]),
      ['--document', path, ...root(), '--measurements', huge],
      ['--document', path, ...root(), '--measurements', fifo],
      ['--document', path, ...root(), '--public-key', '/dev/zero'],
    ]
    await Promise.all(flags.map((one) => expectRefused('ERR_FILE_INPUT', one)))
  })

  test('is read no further than its bound from an input that never ends', async () => {
    const child = spawn('sh', [
      '-c',
      `yes | "$0" "$@"`,
      process.execPath,
      PROGRAM,
      'verify',
      '--document',
      '-',
      ...root(),
    ])
    const [, stderr] = await Promise.all([once(child, 'exit'), text(child.stderr)])
    expect(codeOf(stderr)).toBe('ERR_FILE_INPUT')
  })

  test('may be a bundle of roots, or one root as DER', async () => {
    const path = file('document', document)
    await expectVerified(['--document', path, '--root', directory.join('bundle.pem')])
    await expectVerified(['--document', path, '--root', directory.join('root.der')])
    const cut = file('cut.pem', rootPem + rootPem.slice(0, -20))
    await expectRefused('ERR_CLI_ARGUMENT', ['--document', path, '--root', cut])
  })
})

test('empty and absent fields can be required', async () => {
  const given = ['--document', file('document', document), ...root()]
  await expectVerified([...given, '--user-data', '', '--nonce', 'absent', '--public-key', 'absent'])
  await expectRefused('ERR_USER_DATA_MISMATCH', [...given, '--user-data', 'absent'])
  await expectRefused('ERR_NONCE_MISMATCH', [...given, '--nonce', ''])
  await expectRefused('ERR_CLI_ARGUMENT', [...given, '--nonce', 'none'])
})

test('measurements that are not measurements are refused with a code', async () => {
  const given = ['--document', file('document', document), ...root(), '--measurements']
  await expectRefused('ERR_MEASUREMENTS_FORMAT', [...given, file('null.json', 'null')])
  await expectRefused('ERR_CLI_ARGUMENT', [...given, file('not.json', '{')])
})

test('single PCRs can be pinned, alone or beside a file of measurements', async () => {
  const given = ['--document', file('document', document), ...root()]
  const { stdout } = await verify(given)
  const { Measurements } = JSON.parse(stdout) as { Measurements: Readonly<Record<string, string>> }
  const pin = (pcr: number): string => `${String(pcr)}=${Measurements[`PCR${String(pcr)}`] ?? ''}`
  const measurements = ['--measurements', file('m.json', JSON.stringify({ Measurements }))]
  const pcr1 = { PCR1: Measurements['PCR1'] }
  const one = ['--measurements', file('one.json', JSON.stringify({ Measurements: pcr1 }))]
  const wrong = `0=${'7'.repeat(96)}`
  await Promise.all([
    expectVerified([...given, '--pcr', pin(0), '--pcr', `PCR${pin(2).toUpperCase()}`]),
    expectVerified([...given, ...one, '--pcr', pin(0), pin(2)]),
    expectRefused('ERR_PCR_MISMATCH', [...given, '--pcr', wrong]),
    expectRefused('ERR_PCR_MISMATCH', [...given, ...one, '--pcr', wrong]),
    expectRefused('ERR_PCR_MISSING', [...given, '--pcr', `31=${'0'.repeat(96)}`]),
    expectRefused('ERR_CLI_ARGUMENT', [...given, ...measurements, '--pcr', pin(0)]),
    expectRefused('ERR_CLI_ARGUMENT', [...given, '--pcr', pin(0), '--pcr', pin(0)]),
    expectRefused('ERR_CLI_ARGUMENT', [...given, '--pcr', `32=${'0'.repeat(96)}`]),
    expectRefused('ERR_CLI_ARGUMENT', [...given, '--pcr', '0=00']),
  ])
})
