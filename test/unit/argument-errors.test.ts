// Errors in arguments, through the real program: what they name, and where they say to look.

import { mkdirSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Registry, writeRecord } from '../../src/enclaves/index.ts'
import { goldenBytes } from '../fixtures/eif/golden.ts'
import { runningRecord } from '../fixtures/enclave-record.ts'
import { callCloister, type Called } from '../fixtures/in-process-cli.ts'
import { expectReported } from '../fixtures/reported-error.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

let directory: TemporaryDirectory

beforeAll(async () => {
  directory = await temporaryDirectory()
  writeFileSync(directory.join('golden.eif'), goldenBytes)
})

afterAll(() => directory[Symbol.asyncDispose]())

function call(...args: readonly string[]): Promise<Called> {
  return callCloister(args, {
    CLOISTER_STATE_DIR: directory.join('s'),
    CLOISTER_RUNTIME_DIR: directory.join('r'),
  })
}

/** Expects an error in arguments, and returns its first line and its advice. */
async function refused(command: string): Promise<{ message: string; advice: string }> {
  const result = await call(...command.split(' '))
  expectReported('ERR_CLI_ARGUMENT', result, `cloister ${command}`)
  const lines = result.stderr.trimEnd().split('\n')
  return { message: lines[0] ?? '', advice: lines.at(-1) ?? '' }
}

test.each([
  ['run a.eif', '`--eif-path a.eif`, or see `cloister run-enclave --help`'],
  ['stop hello', '`--enclave-name hello`, or see `cloister terminate-enclave --help`'],
])('the advice names the option that a lone value belongs to: %s', async (command, option) => {
  expect((await refused(command)).advice).toBe(`What to do: Give ${option}.`)
})

test.each([
  ['describe-eif --eif-path a --eif-path=b', '--eif-path <file>'],
  ['run-enclave --parent-ports 80 --memory 512 --parent-ports 443', '--parent-ports <ports>'],
  ['kms serve --store=a --store=b', '--store <place>'],
])('an option that takes one value is not given two: %s', async (command, flags) => {
  const { message, advice } = await refused(command)
  expect(message).toBe(`ERR_CLI_ARGUMENT: option '${flags}' is given twice`)
  expect(advice).toMatch(/^What to do: Give --[a-z-]+ once\./)
})

test.each([
  // Both values are read: the second one is the wrong one.
  ['run-enclave --eif-path a --publish 1:80 -p x', /ERR_NETWORK_PUBLISH: .*x/],
  ['forward --enclave-name a -L 1:2 --to-guest x', /ERR_VSOCK_FORWARD: "x"/],
  ['vsock-proxy 1 a.example 443 --enclave-name a --enclave-name b --num_workers x', /num_workers/],
  [`verify --pcr 1=${'0'.repeat(96)} --pcr x`, /^ERR_CLI_ARGUMENT: option '--pcr .*'x' is invalid/],
])('an option that is given once for each value takes several: %s', async (command, said) => {
  expect((await call(...command.split(' '))).stderr).toMatch(said)
})

describe('the advice names the help of the command, at its level', () => {
  test.each([
    ['list --al', 'cloister describe-enclaves --help'],
    ['kms serve', 'cloister kms serve --help'],
    ['kms policy test', 'cloister kms policy test --help'],
    ['kms policy tst', 'cloister kms policy --help'],
    ['kms audit verify --hed 1', 'cloister kms audit verify --help'],
    ['lst', 'cloister --help'],
    ['help lst', 'cloister --help'],
    ['kms help srve', 'cloister kms --help'],
    ['kms policy help tst', 'cloister kms policy --help'],
    ['prune all', 'cloister prune --help'],
    ['diff a b c', 'cloister diff-eif --help'],
  ])('%s: %s', async (command, help) => {
    expect((await refused(command)).advice).toBe(`What to do: See \`${help}\`.`)
  })
})

describe('the message names', () => {
  test.each([
    ['list --al', "unknown option '--al' (did you mean --all?)"],
    [
      'run --eif-path golden.eif --stop-timeout 5',
      '--stop-timeout has an effect with --attach only',
    ],
    ['help rn', "unknown command 'rn' (did you mean run?)"],
    ['describe-eif --eif-pth a.eif', "unknown option '--eif-pth' (did you mean --eif-path?)"],
    ['kms serve --prot 80', "unknown option '--prot' (did you mean --port?)"],
    ['describe-eif a.eif', "unexpected argument 'a.eif' without an option in front"],
    ['describe-eif', "required option '--eif-path <file>' not specified"],
    ['run --cpu-ids 0 x', "option '--cpu-ids <ids...>' argument 'x' is invalid"],
    ['diff-eif a', "missing required argument 'image-b'"],
    ['wait --for ready', '--for ready needs --port'],
    ['wait --for exit --port 5', '--port cannot be used with --for exit'],
    ['explain E99', 'E99 is not an error code'],
    ['explain E26 --error-code E26', 'two error codes are given'],
    ['stop', 'give --enclave-name, --enclave-id or --all'],
    ['console', 'give --enclave-name or --enclave-id'],
    ['run --config x.json --cpu-ids 1', '--cpu-ids cannot be used with --config'],
  ])('%s: %s', async (command, words) => {
    expect((await refused(command)).message).toContain(words)
  })

  test.each([
    ['--enclave-cid 2', 'reserved for the host', 'from 4 to 4294967294'],
    ['--enclave-cid 4294967295', 'reserved for any address', 'from 4 to 4294967294'],
    ['--enclave-name a/b', "contains '/'", '1 to 200 bytes'],
    ['--enclave-name ..', 'is reserved', '1 to 200 bytes'],
  ])('the rule for run-enclave %s', async (option, problem, rule) => {
    const { message, advice } = await refused(
      `run --eif-path ${directory.join('golden.eif')} ${option}`,
    )
    expect(message).toContain(problem)
    expect(advice).toContain(rule)
  })
})

test('explain takes a number or a code as its argument, and as an option', async () => {
  const byOption = await call('explain', '--error-code', 'E26')
  expect(byOption.stderr).toContain('InsufficientMemoryRequested')
  for (const code of ['E26', 'e26', '26']) expect(await call('explain', code)).toEqual(byOption)
  expect((await call('explain', 'err_eif_crc')).stderr).toContain('[ E35 ] ERR_EIF_CRC')
})

test('wait --port waits until the app listens', async () => {
  const { status, stderr } = await call('wait', '--enclave-name', 'nobody', '--port', '5005')
  expect({ status, stderr }).toMatchObject({ status: 58 })
})

test('a command without an enclave names those that run', async () => {
  expect((await refused('stop')).advice).toContain('No enclave is running')
  const registry = new Registry(directory.join('r'))
  const record = runningRecord('i-0-enc1', 'web shop')
  mkdirSync(registry.directory(record.id))
  writeRecord(registry.directory(record.id), record)
  expect((await refused('stop')).advice).toContain("running: 'web shop'.")
  expect((await refused('connect --port 1')).advice).toContain("running: 'web shop'.")
  registry.remove(record)
})

test('run-enclave --config notes the keys that it ignores, as nitro-cli does without a word', async () => {
  const path = directory.join('config.json')
  writeFileSync(path, '{"eif_path":"/no/such.eif","cpu_cuont":2,"log\\u001b":1,"memory_mib":64}')
  const { stderr, status } = await call('run', '--config', path)
  expect(stderr).toContain(`Note: ${path}: ignoring unknown keys "cpu_cuont", "log\\u001b".`)
  expect({ status }).toEqual({ status: 39 })
})

describe('the region of a key broker has the form of one of AWS', () => {
  const serve = (region: string): string => `kms serve --credentials none --region ${region}`

  test.each([
    ...['anything', 'us-east', 'us-east-0', 'us-east-1a', 'US-EAST-1', 'us--east-1', 'aws-global'],
    ...['us-gov-1', 'us-isoe-west-1', 'usa-east-1', 'eusc-east-1', 'us-east-1/x', '-'],
  ])('%s does not', async (region) => {
    const { message } = await refused(serve(region))
    expect(message).toContain(`--region ${region} does not have the form`)
    expect(message).toContain('us-east-1')
  })

  test.each([
    ...['us-east-1', 'ap-southeast-7', 'mx-central-1', 'cn-northwest-1', 'us-gov-west-1'],
    ...['us-iso-east-1', 'us-isob-west-1', 'eu-isoe-west-1', 'us-isof-south-1', 'eusc-de-east-1'],
  ])('%s does', async (region) => {
    const { stderr } = await call(...serve(region).split(' '))
    expect(stderr).not.toContain('--region')
  })
})
