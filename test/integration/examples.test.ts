// The examples of enclave-images/, built as their READMEs say: the measurements are the committed ones, and
// the services, unmodified Flask and Node of Debian's packages, answer in production mode with documents that
// verify against them.

import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resultOf, TestHost, type CliResult, type DescribedEnclave } from '../host.ts'

const images = resolve(import.meta.dirname, '../../enclave-images')
const NONCE = '000102030405060708090a0b0c0d0e0f'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** Standard error names the packages that a mirror no longer has as they are locked. */
function buildExample(example: string): Promise<CliResult> {
  return resultOf(['bash', join(images, 'build-example.sh'), example, host.directory], {})
}

function committed(example: string): string {
  return join(images, example, 'measurements.json')
}

/** What has moved, and what to do about it, for whoever reads the failure. */
function remedy(example: string): string {
  return `The image of ${example} is not the one in measurements.json. PCR1 covers kernel and agent, PCR2 the \
app and its packages. If that is intended: enclave-images/build-example.sh ${example} build/examples > \
enclave-images/${example}/measurements.json`
}

async function expectCommitted(example: string): Promise<void> {
  const { status, stdout, stderr } = await buildExample(example)
  expect(status, stderr).toBe(0)
  const expected: unknown = JSON.parse(readFileSync(committed(example), 'utf8'))
  expect(JSON.parse(stdout), remedy(example)).toEqual(expected)
}

/** The body of the response to a GET request over vsock port 5000. */
async function get({ EnclaveName }: DescribedEnclave, path: string, into: string): Promise<string> {
  const { status, stderr } = await host.shell(
    `printf 'GET ${path} HTTP/1.0\\r\\n\\r\\n' |
     cloister connect --enclave-name ${EnclaveName} --port 5000 --timeout 300 |
     tee response | sed -b '1,/^\\r$/d' > ${into}; head -n 1 response >&2`,
  )
  expect(status, stderr).toBe(0)
  return stderr
}

test('hello is the image that its measurements.json describes', async () => {
  await expectCommitted('hello')
})

describe.each(['python-service', 'node-service'])('%s', (example) => {
  let enclave: DescribedEnclave

  test('is the image that its measurements.json describes', async () => {
    await expectCommitted(example)
  })

  test('greets and answers with a document that verifies against measurements.json', async () => {
    const { EnclaveID } = await host.json<DescribedEnclave>(
      ...['run-enclave', '--eif-path', host.path(`${example}.eif`), '--guest-ports', '5000'],
    )
    enclave = await host.describe(EnclaveID)
    expect(enclave.Flags).toBe('NONE')
    await get(enclave, `/attestation?nonce=${NONCE}`, 'document')
    const { status, stdout, stderr } = await host.shell(
      `cloister verify --document document --root s/authority/root.pem --nonce ${NONCE} --measurements ${committed(example)}`,
    )
    expect(status, stderr).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ Verified: true })
    await get(enclave, '/', 'greeting')
    expect(readFileSync(host.path('greeting'), 'utf8')).toMatch(
      /^Hello from \w+ in an enclave\.\n$/,
    )
  })

  test('refuses a nonce that is none or too long', async () => {
    for (const nonce of ['xyz', 'ab'.repeat(1025)])
      expect(await get(enclave, `/attestation?nonce=${nonce}`, 'refusal')).toMatch(
        /^HTTP\/1\.. 400 /,
      )
    await host.run('terminate-enclave', '--enclave-id', enclave.EnclaveID)
  })
})
