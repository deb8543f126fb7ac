// A self-signed TLS key, as an application in an enclave makes one.

import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TlsKey {
  readonly key: string
  readonly cert: string
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer
}

export function makeKey(): TlsKey {
  const directory = mkdtempSync(join(tmpdir(), 'tls-'))
  const [keyFile, certFile] = [join(directory, 'key'), join(directory, 'cert')]
  const subject = ['-subj', '/CN=enclave', '-days', '2', '-nodes']
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
  const output = ['-keyout', keyFile, '-out', certFile]
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, ...output], { stdio: 'ignore' })
  const [key, cert] = [readFileSync(keyFile, 'utf8'), readFileSync(certFile, 'utf8')]
  rmSync(directory, { recursive: true })
  const { publicKey } = new X509Certificate(cert)
  return { key, cert, spki: publicKey.export({ type: 'spki', format: 'der' }) }
}
