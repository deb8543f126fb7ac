// TLS to an enclave: its key was made inside, its certificate is self-signed, and the document is
// what makes it trustworthy. Needs the program `openssl` to make the certificate.

import { execFileSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createVerifier } from '@cloister/attestation'
import { createAttestedFetch } from '@cloister/attestation/tls'
import { askEnclave, standInMeasurements, standInRoot } from './stand-in-enclave.ts'

// In the enclave: a TLS key, bound in user_data by the SHA-256 of its SubjectPublicKeyInfo.
const { key, cert } = makeSelfSigned()
const spki = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' })
const userData = createHash('sha256').update(spki).digest()
const server = createServer({ key, cert }, (request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'https://enclave')
  if (pathname !== '/.well-known/attestation') {
    response.end('a secret for you')
    return
  }
  const nonce = Buffer.from(searchParams.get('nonce') ?? '', 'hex')
  void askEnclave({ nonce, userData }).then((document) => response.end(document))
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

// Outside: a fetch that talks to such enclaves only.
const verifier = createVerifier({ roots: [standInRoot], measurements: standInMeasurements })
const attestedFetch = createAttestedFetch({ verifier })
const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
console.log('answer:', await (await attestedFetch(url)).text())
console.log('from', (await attestedFetch.attest(url)).moduleId)
attestedFetch.close()
server.close()
server.closeAllConnections()

function makeSelfSigned(): { key: string; cert: string } {
  const directory = mkdtempSync(join(tmpdir(), 'attested-fetch-'))
  const [keyFile, certFile] = [join(directory, 'key'), join(directory, 'cert')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const output = ['-subj', '/CN=enclave', '-keyout', keyFile, '-out', certFile]
  execFileSync('openssl', ['req', '-x509', ...curve, ...output], { stdio: 'ignore' })
  const made = { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') }
  rmSync(directory, { recursive: true })
  return made
}
