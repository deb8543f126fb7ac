// What scripts written for nitro-cli 1.5.0 rely on: which arguments are taken, exit statuses and numbers,
// the keys of the JSON and their order. Read off the real program; docs/nitro-cli.md names what differs
// on purpose. Every call goes through the real program, in this process.

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nitroErrors } from '../../src/cli/nitro-errors.ts'
import { Registry, writeRecord } from '../../src/enclaves/index.ts'
import { errorTable } from '../../src/error-table.ts'
import { CRC_OFFSET, golden, goldenBytes, mendCrc, patch } from '../fixtures/eif/golden.ts'
import { runningRecord, startingRecord } from '../fixtures/enclave-record.ts'
import { callCloister, type Called } from '../fixtures/in-process-cli.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

let directory: TemporaryDirectory

beforeAll(async () => {
  directory = await temporaryDirectory()
  writeFileSync(directory.join('golden.eif'), goldenBytes)
  writeFileSync(directory.join('damaged.eif'), patch(goldenBytes, CRC_OFFSET, [0]))
})

afterAll(() => directory[Symbol.asyncDispose]())

/** Calls the program, with directories of its own. */
function call(...args: readonly string[]): Promise<Called> {
  return callCloister(args, {
    CLOISTER_STATE_DIR: directory.join('s'),
    CLOISTER_RUNTIME_DIR: directory.join('r'),
  })
}

/** nitro-cli's number at the head of an error; none for arguments that cannot be used. */
function numberOf({ stderr }: Called): string | undefined {
  return /^\[ (E\d\d) \] ERR_/m.exec(stderr)?.[1]
}

function config(settings: unknown): string {
  const path = directory.join('config.json')
  writeFileSync(path, typeof settings === 'string' ? settings : JSON.stringify(settings))
  return path
}

/** An image that is missing: arguments that are taken end with E19 and 39. */
const eif = ['--eif-path', '/no/such.eif']
const cpus = ['--cpu-count', '2']

describe('run-enclave', () => {
  test.each([
    [[...eif, '--memory', '512', ...cpus]],
    [[...cpus, '--memory', '512', ...eif]],
    [[...eif, '--memory', '512', '--cpu-ids', '1', '3']],
    [[...eif, '--memory', '1G', ...cpus]],
    [[...eif, '--memory', '1g', ...cpus]],
    [[...eif, '--memory', '256m', ...cpus]],
    [[...eif, '--memory=512', '--cpu-count=2']],
    [[...eif, '--memory', '512', ...cpus, '--enclave-cid', '10']],
    [[...eif, '--memory', '512', ...cpus, '--enclave-cid', '0']],
    [[...eif, '--memory', '512', ...cpus, '--enclave-name', 'my enclave']],
    [[...eif, '--memory', '512', ...cpus, '--debug-mode']],
    [[...eif, '--memory', '512', ...cpus, '--debug-mode', '--attach-console']],
    [[...eif, '--memory', '512', ...cpus, '--attach-console']],
  ])('takes %j, and ends with 39 for what comes after', async (args) => {
    const called = await call('run-enclave', ...args)
    expect([called.status, numberOf(called), called.stdout]).toEqual([39, 'E19', ''])
  })

  test.each([
    [[]],
    [['--memory', '512', ...cpus]],
    [[...eif, '--memory', 'much', ...cpus]],
    [[...eif, '--memory', '-1', ...cpus]],
    [[...eif, '--memory', '1K', ...cpus]],
    [[...eif, '--memory', '512', '--cpu-count', 'two']],
    [[...eif, '--memory', '512', '--cpu-count']],
    [[...eif, '--memory', '512', ...cpus, '--cpu-ids', '1', '3']],
    [[...eif, '--memory', '512', ...cpus, '--enclave-cid', 'ten']],
    [[...eif, '--memory', '512', ...cpus, '--enclave-cid', '4294967296']],
    [[...eif, '--memory', '512', ...cpus, '--unknown']],
    [[...eif, '--memory', '512', ...cpus, 'more']],
    [['--config', '/no/such', ...eif]],
    [['--config', '/no/such', '--memory', '512']],
    [['--config', '/no/such', '--debug-mode']],
  ])('refuses %j with 2 and without a number', async (args) => {
    const called = await call('run-enclave', ...args)
    expect([called.status, numberOf(called), called.stdout]).toEqual([2, undefined, ''])
  })

  test('takes a --config file, with unknown keys and null', async () => {
    const settings = { eif_path: '/no/such.eif', memory_mib: 512, cpu_count: 2, debug_mode: true }
    const more = {
      enclave_name: 'n n',
      enclave_cid: 10,
      attach_console: false,
      cpu_ids: null,
      x: 1,
    }
    for (const file of [settings, { ...settings, ...more }]) {
      const called = await call('run-enclave', '--config', config(file))
      expect([called.status, numberOf(called)]).toEqual([39, 'E19'])
    }
    const attached = await call('run-enclave', '--config', config(settings), '--attach-console')
    expect([attached.status, numberOf(attached)]).toEqual([39, 'E19'])
  })

  test.each([
    ['E17', 17, 'not JSON'],
    ['E17', 17, '[]'],
    ['E17', 17, { eif_path: 1 }],
    ['E17', 17, { memory_mib: '512' }],
    ['E17', 17, { cpu_count: -1 }],
    ['E17', 17, { cpu_ids: ['1'] }],
    ['E17', 17, { debug_mode: 'true' }],
    ['E02', 2, { eif_path: 'x', memory_mib: 512, cpu_count: 2, cpu_ids: [1, 3] }],
    ['E01', 1, { memory_mib: 512, cpu_count: 2 }],
  ])('gives %s and %i for the --config file %j', async (number, status, settings) => {
    const called = await call('run-enclave', '--config', config(settings))
    expect([numberOf(called), called.status, called.stdout]).toEqual([number, status, ''])
  })

  test('gives E19 and 19 for a missing --config file', async () => {
    const called = await call('run-enclave', '--config', '/no/such')
    expect([numberOf(called), called.status]).toEqual(['E19', 19])
  })

  test.each([
    ['E20', ['--cpu-ids', '0', '0']],
    ['E21', ['--cpu-ids', '4000']],
    ['E22', ['--cpu-count', '4096']],
    ['E26', ['--memory', '1']],
    ['E27', ['--memory', '9T']],
  ])('gives %s and 39 for %j, before anything is started', async (number, args) => {
    const called = await call('run-enclave', '--eif-path', directory.join('golden.eif'), ...args)
    expect([numberOf(called), called.status, called.stdout]).toEqual([number, 39, ''])
    expect(JSON.parse((await call('describe-enclaves')).stdout)).toEqual([])
  })
})

describe('arguments of the other commands', () => {
  test.each([
    [2, undefined, ['build-enclave', '--docker-uri', 'x:y']],
    [2, undefined, ['build-enclave', '--output-file', 'x.eif']],
    [
      2,
      undefined,
      ['build-enclave', '--docker-uri', 'x:y', '--output-file', 'x', '--private-key', 'k'],
    ],
    [2, undefined, ['describe-enclaves', 'more']],
    [2, undefined, ['describe-enclaves', '--enclave-id', 'x']],
    [2, undefined, ['describe-eif']],
    [2, undefined, ['console']],
    [2, undefined, ['console', '--enclave-id', 'x', '--enclave-name', 'y']],
    [2, undefined, ['console', '--enclave-id', 'x', '--disconnect-timeout', 'soon']],
    [11, 'E11', ['console', '--enclave-id', 'x']],
    [11, 'E11', ['console', '--enclave-id', 'x', '--disconnect-timeout', '0']],
    [58, 'E58', ['console', '--enclave-name', 'x']],
    [2, undefined, ['terminate-enclave']],
    [2, undefined, ['terminate-enclave', '--all', '--enclave-id', 'x']],
    [2, undefined, ['terminate-enclave', '--enclave-name', 'x', '--enclave-id', 'x']],
    [11, 'E11', ['terminate-enclave', '--enclave-id', 'x']],
    [58, 'E58', ['terminate-enclave', '--enclave-name', 'x']],
    [35, 'E35', ['describe-eif', '--eif-path', '/no/such.eif']],
    [35, 'E35', ['describe-eif', '--eif-path', '/etc']],
    [35, 'E35', ['describe-eif', '--eif-path', '/etc/passwd']],
    [2, undefined, ['pcr']],
    [2, undefined, ['pcr', '--input', '/etc/passwd', '--signing-certificate', 'x']],
    [19, 'E19', ['pcr', '--input', '/no/such']],
    [57, 'E57', ['pcr', '--signing-certificate', '/etc/passwd']],
    [2, undefined, ['explain']],
    [2, undefined, ['explain', '--error-code', 'E61']],
    [2, undefined, ['no-such-command']],
    [2, undefined, ['--no-such-option']],
    [2, undefined, []],
  ] as const)('end with %i and %s: %j', async (status, number, args) => {
    const called = await call(...args)
    expect([called.status, numberOf(called), called.stdout]).toEqual([status, number, ''])
  })

  test('a bare call prints the help', async () => {
    expect((await call()).stderr).toMatch(/^Usage: cloister [^]*run-enclave[^]*terminate-enclave/)
  })

  test('--help and --version end with 0, on standard output', async () => {
    for (const args of [
      ['--help'],
      ['--version'],
      ['run-enclave', '--help'],
      ['help', 'console'],
    ]) {
      const { status, stdout, stderr } = await call(...args)
      expect([args, status, stderr, stdout !== '']).toEqual([args, 0, '', true])
    }
  })

  test('missing blobs are E19, also where NITRO_CLI_BLOBS names them', async () => {
    const args = ['build-enclave', '--rootfs', '/', '--output-file', directory.join('x.eif')]
    const called = await callCloister(args, { NITRO_CLI_BLOBS: '/no/such' })
    expect([called.status, numberOf(called)]).toEqual([19, 'E19'])
    expect(called.stderr).toContain('/no/such')
  })

  test('explain writes to standard error', async () => {
    const { status, stdout, stderr } = await call('explain', '--error-code', 'E26')
    expect([status, stdout]).toEqual([0, ''])
    expect(stderr).toContain('ERR_KEEPER_MEMORY')
  })
})

describe('JSON', () => {
  test('describe-eif has nitro-cli’s keys in its order', async () => {
    const { status, stdout } = await call(
      'describe-eif',
      '--eif-path',
      directory.join('golden.eif'),
    )
    const json = JSON.parse(stdout) as Record<string, object>
    expect(status).toBe(0)
    expect(Object.keys(json).filter((key) => nitroEifKeys.includes(key))).toEqual(nitroEifKeys)
    expect(Object.keys(json['Measurements'] ?? {})).toEqual([
      'HashAlgorithm',
      'PCR0',
      'PCR1',
      'PCR2',
    ])
    expect(json).toMatchObject({
      ...{ EifVersion: 4, IsSigned: false, CheckCRC: true },
      Measurements: { ...golden.measurements, HashAlgorithm: 'Sha384 { ... }' },
    })
    expect(Object.keys(json['Metadata'] ?? {}).slice(0, 5)).toEqual(nitroMetadataKeys)
    expect(json['Metadata']).toHaveProperty('DockerInfo')
    expect(stdout).toMatch(/^\{\n {2}"EifVersion": 4,\n/)
  })

  test('describe-eif of a wrong checksum ends with 0 and says so', async () => {
    const path = directory.join('damaged.eif')
    const { status, stdout } = await call('describe-eif', '--eif-path', path)
    expect([status, JSON.parse(stdout)]).toMatchObject([0, { CheckCRC: false }])
    const pcr = await call('pcr', '--eif', path)
    expect([pcr.status, numberOf(pcr)]).toEqual([35, 'E35'])
  })

  test('describe-eif of a foreign signature ends with 0 and says so', async () => {
    const [key, certificate] = [directory.join('k.pem'), directory.join('c.pem')]
    const signed = directory.join('signed.eif')
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes'],
        ...['-subj', '/C=SE/O=Acme/CN=signer', '-days', '2', '-keyout', key, '-out', certificate],
      ],
      { stdio: 'ignore' },
    )
    writeFileSync(signed, goldenBytes)
    const sign = ['--signing-certificate', certificate, '--private-key', key]
    expect((await call('sign-eif', '--eif-path', signed, ...sign)).status).toBe(0)
    const good = JSON.parse((await call('describe-eif', '--eif-path', signed)).stdout) as object
    expect(good).toMatchObject({
      ...{ IsSigned: true, SignatureCheck: true },
      SigningCertificate: {
        IssuerName: { countryName: 'SE', organizationName: 'Acme', commonName: 'signer' },
      },
    })
    const bytes = new Uint8Array(readFileSync(signed))
    const offset = golden.sections[0]?.dataOffset ?? 0
    writeFileSync(signed, mendCrc(patch(bytes, offset, [(bytes[offset] ?? 0) ^ 1])))
    const { status, stdout, stderr } = await call('describe-eif', '--eif-path', signed)
    expect([status, JSON.parse(stdout)]).toMatchObject([
      0,
      { IsSigned: true, CheckCRC: true, SignatureCheck: false },
    ])
    expect(stdout).not.toContain('PCR8')
    expect(stderr).toContain('ERR_EIF_SIGNATURE_INVALID')
  })

  test('pcr of a file and of a certificate has one key', async () => {
    const file = await call('pcr', '--input', directory.join('golden.eif'))
    expect(JSON.parse(file.stdout)).toEqual({
      PCR: expect.stringMatching(/^[0-9a-f]{96}$/) as string,
    })
    const certificate = await call('pcr', '--signing-certificate', directory.join('c.pem'))
    expect(Object.keys(JSON.parse(certificate.stdout) as object)).toEqual(['PCR8'])
  })

  test('describe-enclaves has nitro-cli’s keys first, and metadata where they are asked for', async () => {
    expect((await call('describe-enclaves')).stdout).toBe('[]\n')
    const registry = new Registry(directory.join('r'))
    const { description } = registry.claim(startingRecord('i-1', 'my app'))
    const record = runningRecord('i-1')
    const image = {
      ...record.image,
      metadata: { ...metadata, custom: { B: 1, A: 2, BuildTime: 'x' } },
    }
    writeRecord(registry.directory('i-1'), { ...record, description, image })
    const shown = async (...args: readonly string[]): Promise<Record<string, object>> => {
      const [enclave] = JSON.parse((await call('describe-enclaves', ...args)).stdout) as object[]
      return enclave as Record<string, object>
    }
    expect(Object.keys(await shown()).slice(0, nitroEnclaveKeys.length)).toEqual(nitroEnclaveKeys)
    expect(await shown()).toMatchObject({ EnclaveName: 'my app', State: 'RUNNING', Flags: 'NONE' })
    const described = await shown('--metadata')
    const keys = ['ImageName', 'ImageVersion', 'Metadata']
    expect(Object.keys(described).filter((key) => keys.includes(key))).toEqual(keys)
    expect(Object.keys(described['Metadata'] ?? {})).toEqual([
      ...nitroMetadataKeys,
      ...['DockerInfo', 'A', 'B'],
    ])
    expect(described['Metadata']).toMatchObject({ BuildTime: metadata.build.buildTime })
    registry.remove({ id: 'i-1', description })
  })

  test('terminate-enclave says what it ended; with --all in a list', async () => {
    expect((await call('terminate-enclave', '--all')).stdout).toBe('[]\n')
    const registry = new Registry(directory.join('r'))
    registry.claim({ ...startingRecord('i-2'), keeper: { pid: process.pid, startTime: 1 } })
    const { status, stdout, stderr } = await call('terminate-enclave', '--enclave-id', 'i-2')
    expect([status, JSON.parse(stdout)]).toEqual([
      0,
      { EnclaveName: 'app', EnclaveID: 'i-2', Terminated: true },
    ])
    expect(stderr).toBe('Successfully terminated enclave i-2.\n')
  })
})

const nitroEifKeys: readonly string[] = [
  ...['EifVersion', 'Measurements', 'IsSigned', 'CheckCRC'],
  ...['ImageName', 'ImageVersion', 'Metadata'],
]
const nitroMetadataKeys = [
  ...['BuildTime', 'BuildTool', 'BuildToolVersion', 'OperatingSystem', 'KernelVersion'],
]
const nitroEnclaveKeys = [
  ...['EnclaveName', 'EnclaveID', 'ProcessID', 'EnclaveCID', 'NumberOfCPUs', 'CPUIDs'],
  ...['MemoryMiB', 'State', 'Flags', 'Measurements'],
]
const metadata = {
  imageName: 'app',
  imageVersion: '1.0',
  build: {
    buildTime: '2026-01-01T00:00:00+00:00',
    buildTool: 'nitro-cli',
    buildToolVersion: '1.5.0',
    operatingSystem: 'Linux',
    kernelVersion: '6.12.1',
  },
  dockerInfo: {},
}

test('every code has a number of nitro-cli’s, or none, in every command', () => {
  expect(nitroErrors).toHaveLength(61)
  for (const [code, { nitro, nitroIn = {} }] of Object.entries(errorTable)) {
    const numbers = [nitro, ...Object.values(nitroIn)]
    // 0 is nitro-cli's "unspecified", which says nothing: here it stands for none.
    expect([code, numbers.filter((number) => nitroErrors[number] === undefined)]).toEqual([
      code,
      [],
    ])
  }
})
