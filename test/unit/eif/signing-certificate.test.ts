import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { expect, it } from 'vitest'

import { parseSigningCertificate } from '../../../src/eif/index.ts'

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes', '-keyout']
const request = ['req', '-x509', ...newKey, '/dev/null', '-subj', '/CN=x', '-days', '2']
const { raw } = new X509Certificate(execFileSync('openssl', request, { stdio: 'pipe' }))

function pemOf(der: Uint8Array): Buffer {
  const lines = Buffer.from(der).toString('base64').replaceAll(/.{64}/g, '$&\n')
  return Buffer.from(`-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`)
}

it('takes the certificate that PCR8 is the digest of', () => {
  expect(Buffer.from(parseSigningCertificate(pemOf(raw)).der).equals(raw)).toBe(true)
})

it.each([
  ['a byte after it, which would change PCR8', Buffer.concat([raw, Buffer.of(0)])],
  ['a byte missing', raw.subarray(0, -1)],
  ['nothing in it', Buffer.alloc(0)],
])('refuses a certificate with %s', (_, der) => {
  const error = expect.objectContaining({ code: 'ERR_EIF_CERTIFICATE' }) as Error
  expect(() => parseSigningCertificate(pemOf(der))).toThrow(error)
})
