// Certificates as PEM, alone and in bundles.

import { beforeAll, describe, expect, test } from 'vitest'
import { decodePem, decodePemBlocks, decodePemBundle } from '../src/x509/index.ts'
import { expectCode } from './expect-error.ts'
import { issue } from './issuer/authority.ts'
import { rootShape } from './issuer/document.ts'

describe('PEM', () => {
  let certificate: Uint8Array
  let pem: string
  let base64: string
  beforeAll(async () => {
    ;({ certificate } = await issue(rootShape()))
    base64 = btoa(String.fromCharCode(...certificate)).replace(/(.{64})/g, '$1\n')
    pem = `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`
  })

  test('of a bundle gives every certificate, whatever stands around them', () => {
    const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
    for (const bundle of [pem + pem, `subject=x\r\n${pem.replaceAll('\n', '\r\n')}${key}${pem}`]) {
      expect(decodePemBundle(bundle)).toEqual([certificate, certificate])
    }
    expect(decodePemBlocks(key + pem).map(({ label }) => label)).toEqual([
      'PRIVATE KEY',
      'CERTIFICATE',
    ])
  })

  test('of a bundle loses no certificate that is cut or not base64', async () => {
    const cut = pem.slice(0, -30)
    const wrong = pem.replace('\n', '\n!')
    for (const bundle of ['', base64, cut, pem + cut, cut + pem, pem + wrong, wrong + pem]) {
      await expectCode(() => decodePemBundle(bundle), 'ERR_X509_FORMAT')
    }
  })

  test('of one certificate gives its DER; two or none are refused', async () => {
    expect(decodePem(pem)).toEqual(certificate)
    await expectCode(() => decodePem(pem + pem), 'ERR_X509_FORMAT')
    await expectCode(() => decodePem(base64), 'ERR_X509_FORMAT')
  })
})
