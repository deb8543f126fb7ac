// Keys that are not in files: on a PKCS#11 token (SoftHSM), in a TPM (swtpm, with keys that tpm2-tools and
// OpenSSL's TPM provider made), and in a service with the interface of AWS KMS.

import { spawn, type ChildProcess } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { CreateKeyCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { awsDescribe } from '../fixtures/aws-eif.ts'
import { goldenBytes, hex } from '../fixtures/eif/golden.ts'
import { importMaterial } from '../fixtures/kms/import-material.ts'
import { keysOf, RunningBroker } from '../fixtures/kms/running-broker.ts'
import { KMS_CREDENTIALS, startKmsStandIn } from '../fixtures/kms-stand-in.ts'
import { once } from '../fixtures/once.ts'
import { CURVES, signingHost } from '../fixtures/signing-keys.ts'
import { until } from '../fixtures/until.ts'
import type { CliResult, TestHost } from '../host.ts'

const MODULE = '/usr/lib/softhsm/libsofthsm2.so'
let host: TestHost

beforeAll(async () => {
  host = await signingHost()
})

afterAll(() => {
  host.discard()
})

function sign(curve: string, key: string, prefix: string): Promise<CliResult> {
  copyFileSync(host.path('golden.eif'), host.path('app.eif'))
  const flags = `--eif-path app.eif --signing-certificate ${curve}.crt`
  return host.shell(`${prefix} cloister sign-eif ${flags} --private-key '${key}'`)
}

async function signs(curve: string, key: string, prefix: string): Promise<void> {
  expect(await sign(curve, key, prefix)).toMatchObject({
    status: 0,
    stderr: 'Enclave Image successfully signed.\n',
  })
  const good = { CheckCRC: true, SignatureCheck: true, Runnable: true }
  expect(awsDescribe(host.path('app.eif'))).toMatchObject(good)
}

async function refuses(curve: string, key: string, prefix: string, code: string): Promise<string> {
  const result = await sign(curve, key, prefix)
  expect(result).toMatchObject({ status: 60, stdout: '' })
  expect(result.stderr).toContain(`[ E60 ] ${code}: `)
  expect(hex(readFileSync(host.path('app.eif')))).toBe(hex(goldenBytes))
  return result.stderr
}

describe('a key on a PKCS#11 token', () => {
  let environment: string
  const uri = (path: string): string => `pkcs11:token=signer;${path}?module-path=${MODULE}`

  beforeAll(async () => {
    const imports = CURVES.map(
      (curve, n) => `openssl pkcs8 -topk8 -nocrypt -in ${curve}.key -out pkcs8.pem &&
        softhsm2-util --import pkcs8.pem --token signer --label 'key ${curve}' --id 0${String(n)} --pin 1234`,
    )
    const make = `mkdir tokens && printf 'directories.tokendir = %s/tokens\\n' "$PWD" > softhsm2.conf &&
      export SOFTHSM2_CONF="$PWD/softhsm2.conf" &&
      softhsm2-util --init-token --free --label signer --pin 1234 --so-pin 5678 && ${imports.join(' && ')}`
    const { status, stderr } = await host.shell(make)
    expect(status, stderr).toBe(0)
    environment = `SOFTHSM2_CONF='${host.path('softhsm2.conf')}' CLOISTER_PRIVATE_KEY_PASSWORD=1234`
  })

  test.each(CURVES)('signs, named by label or id: %s', async (curve) => {
    await signs(curve, uri(`object=key%20${curve}`), environment)
    await signs(curve, uri(`id=%0${String(CURVES.indexOf(curve))}`), environment)
  })

  test('does not sign with a wrong PIN, and the error says what the token said', async () => {
    const wrong = environment.replace('1234', '4321')
    const stderr = await refuses('P-384', uri('object=key%20P-384'), wrong, 'ERR_SIGNING_KEY')
    expect(stderr).toContain('CKR_PIN_INCORRECT')
  })

  test.each([
    ['that is not there', 'ERR_SIGNING_KEY', uri('object=none')],
    ['of another certificate', 'ERR_EIF_SIGNING', uri('object=key%20P-256')],
    ['without a module', 'ERR_SIGNING_KEY', 'pkcs11:object=x'],
    ['without a name', 'ERR_SIGNING_KEY', uri('type=private')],
    ['with a PIN in the URI', 'ERR_SIGNING_KEY', `${uri('object=x')}&pin-value=1234`],
    ['whose module is missing', 'ERR_SIGNING_KEY', 'pkcs11:object=x?module-path=/no/such.so'],
  ])('%s is refused', async (_, code, key) => {
    await refuses('P-384', key, environment, code)
  })
})

describe('a key in a TPM', () => {
  let swtpm: ChildProcess
  let environment: string
  let tcti: string

  beforeAll(async () => {
    mkdirSync(host.path('tpm'))
    const socket = host.path('tpm.socket')
    const server = ['--server', `type=unixio,path=${socket}`]
    const flags = ['--flags', 'not-need-init,startup-clear']
    const state = ['--tpmstate', `dir=${host.path('tpm')}`]
    swtpm = spawn('swtpm', ['socket', '--tpm2', ...state, ...server, ...flags], { stdio: 'ignore' })
    await until('the TPM has its socket', () => existsSync(socket))
    environment = `CLOISTER_TPM='${socket}' CLOISTER_PRIVATE_KEY_PASSWORD=secret`
    tcti = `cmd:socat - UNIX-CONNECT:${socket}`
    const provider = '-provider tpm2 -provider default'
    const make = `set -e
      export TPM2TOOLS_TCTI='${tcti}' TPM2OPENSSL_TCTI='${tcti}'
      tpm2_createprimary -C o -G ecc -c primary.ctx && tpm2_evictcontrol -C o -c primary.ctx 0x81000001
      tpm2_flushcontext -t
      tpm2_create -C 0x81000001 -G ecc384 -p secret -u key.pub -r key.priv
      tpm2_encodeobject -C 0x81000001 -u key.pub -r key.priv -p -o tools.pem
      tpm2_load -C 0x81000001 -u key.pub -r key.priv -c key.ctx
      tpm2_readpublic -c key.ctx -f pem -o public.pem
      tpm2_evictcontrol -C o -c key.ctx 0x81010002 && tpm2_flushcontext -t
      openssl x509 -new -subj /CN=tpm -force_pubkey public.pem -days 2 -out tpm.crt \
        -CA P-256.crt -CAkey P-256.key
      openssl genpkey ${provider} -algorithm EC -pkeyopt group:P-256 -out provider.pem
      openssl req -x509 ${provider} -key provider.pem -subj /CN=tpm -days 2 -out provider.crt`
    const { status, stderr } = await host.shell(make)
    expect(status, stderr).toBe(0)
  })

  afterAll(async () => {
    const ended = once(swtpm, 'exit')
    swtpm.kill()
    await ended
  })

  test.each([
    ['of tpm2-tools, in a file', 'tpm', 'tools.pem'],
    ['of tpm2-tools, at a persistent handle', 'tpm', 'handle:0x81010002'],
    ["of OpenSSL's provider, whose parent is made anew", 'provider', 'provider.pem'],
  ])('%s signs, and leaves nothing in the TPM', async (_, certificate, key) => {
    const password = key === 'provider.pem' ? 'CLOISTER_PRIVATE_KEY_PASSWORD=' : ''
    await signs(certificate, key, `${environment} ${password}`)
    const loaded = await host.shell(`TPM2TOOLS_TCTI='${tcti}' tpm2_getcap handles-transient`)
    expect(loaded).toMatchObject({ status: 0, stdout: '' })
  })

  test.each([
    ['with a wrong password', 'ERR_SIGNING_KEY', 'tools.pem', 'CLOISTER_PRIVATE_KEY_PASSWORD=x'],
    ['at an empty handle', 'ERR_SIGNING_KEY', 'handle:0x81010009', ''],
    ['at a transient handle', 'ERR_SIGNING_KEY', 'handle:0x80000000', ''],
    ['of another certificate', 'ERR_EIF_SIGNING', 'provider.pem', ''],
    ['for storage', 'ERR_SIGNING_KEY', 'handle:0x81000001', ''],
    ['in a TPM that is not there', 'ERR_SIGNING_KEY', 'tools.pem', 'CLOISTER_TPM=/no/such'],
    ['in a TPM that is a file', 'ERR_SIGNING_KEY', 'tools.pem', 'CLOISTER_TPM=tpm.crt'],
    ['in a damaged file', 'ERR_SIGNING_KEY', 'damaged.pem', ''],
  ])('%s is refused', async (_, code, key, changes) => {
    const pem = readFileSync(host.path('tools.pem'), 'utf8').split('\n')
    writeFileSync(host.path('damaged.pem'), pem.toSpliced(3, 2).join('\n'))
    await refuses('tpm', key, `${environment} ${changes}`, code)
  })
})

describe('a key in KMS', () => {
  const arn = 'arn:aws:kms:eu-west-1:123456789012:key/abcdef12-3456-789a-bcde-111122223333'
  const credentials = `HOME="$PWD" ${Object.entries(KMS_CREDENTIALS)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')}`
  const keyOf = (curve: string) => createPrivateKey(readFileSync(host.path(`${curve}.key`)))

  test.each(CURVES)(
    'signs the digest, and nothing else is asked of the service: %s',
    async (curve) => {
      await using kms = await startKmsStandIn(arn, keyOf(curve))
      await signs(curve, arn, `AWS_ENDPOINT_URL_KMS=${kms.url} ${credentials}`)
      expect(kms.answered).toEqual(['GetPublicKey', 'Sign'])
    },
  )

  test.each(CURVES)('signs from Cloister’s own broker, once it was imported: %s', async (curve) => {
    await using broker = await RunningBroker.start()
    const client = broker.client('root')
    const { KeyMetadata } = await client.send(
      new CreateKeyCommand({
        ...{ Origin: 'EXTERNAL', KeyUsage: 'SIGN_VERIFY' },
        KeySpec: `ECC_NIST_${curve.replace('-', '')}` as 'ECC_NIST_P384',
      }),
    )
    const material = keyOf(curve).export({ format: 'der', type: 'pkcs8' })
    const algorithm = 'RSA_AES_KEY_WRAP_SHA_256'
    await importMaterial(client, KeyMetadata?.KeyId ?? '', material, { algorithm })
    client.destroy()
    const { accessKeyId, secretAccessKey } = keysOf('root')
    const own = `HOME="$PWD" AWS_ACCESS_KEY_ID=${accessKeyId} AWS_SECRET_ACCESS_KEY=${secretAccessKey}`
    const at = `AWS_ENDPOINT_URL_KMS=${broker.endpoint}`
    await signs(curve, KeyMetadata?.Arn ?? '', `${at} ${own}`)
    expect(broker.faults).toEqual([])
  })

  test('is asked for where --kms-endpoint says, and what the service refuses is an error', async () => {
    await using kms = await startKmsStandIn(arn, keyOf('P-384'))
    const endpoint = `--kms-endpoint ${kms.url}`
    copyFileSync(host.path('golden.eif'), host.path('app.eif'))
    const flags = `--eif-path app.eif --signing-certificate P-384.crt --private-key ${arn} ${endpoint}`
    const signed = await host.shell(`${credentials} cloister sign-eif ${flags}`)
    expect(signed.status, signed.stderr).toBe(0)
    const at = `AWS_ENDPOINT_URL_KMS=${kms.url}`
    await refuses(
      'P-384',
      arn.replace('abcdef12', 'other'),
      `${at} ${credentials}`,
      'ERR_SIGNING_KEY',
    )
    const foreign = credentials.replace(KMS_CREDENTIALS.AWS_SECRET_ACCESS_KEY, 'wrong')
    const stderr = await refuses('P-384', arn, `${at} ${foreign}`, 'ERR_SIGNING_KEY')
    expect(stderr).toContain('IncompleteSignatureException')
  })

  test('of another certificate is refused before anything is signed', async () => {
    await using kms = await startKmsStandIn(arn, keyOf('P-256'))
    const prefix = `AWS_ENDPOINT_URL_KMS=${kms.url} ${credentials}`
    await refuses('P-384', arn, prefix, 'ERR_EIF_SIGNING')
    expect(kms.answered).toEqual(['GetPublicKey'])
  })

  test.each(['arn:aws:kms:eu-west-1:123456789012:alias/x', 'arn:aws:s3:::bucket', 'arn:'])(
    'is a key, not %s',
    async (name) => {
      await refuses('P-384', name, credentials, 'ERR_SIGNING_KEY')
    },
  )
})
