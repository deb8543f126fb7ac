// Builds the example image, runs it, and checks what its app proves about itself.

import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { verifyAttestation } from '@cloister/attestation'
import { buildEnclave, runEnclave } from 'cloister'

/**
 * @param rootfs - Of the example app: `build/hello/rootfs`.
 * @param output - Where to write the image.
 * @param rootPem - The development authority: `/var/lib/cloister/authority/root.pem`.
 */
export async function attest(rootfs: string, output: string, rootPem: string): Promise<string> {
  const { measurements } = await buildEnclave({ rootfs, entrypoint: ['/hello'], output })
  await using enclave = await runEnclave({
    ...{ eif: output, name: 'hello', memoryMib: 128, guestPorts: '5005' },
    signal: AbortSignal.timeout(300_000),
  })

  const nonce = crypto.getRandomValues(new Uint8Array(32))
  const app = await enclave.connect(5005, 60_000)
  app.end(`{"nonce":"${Buffer.from(nonce).toString('base64')}","userData":null,"publicKey":null}\n`)
  const { document } = JSON.parse(await text(app)) as { readonly document: string }

  const root = new X509Certificate(readFileSync(rootPem)).raw
  const { PCR0 = '', PCR1 = '', PCR2 = '' } = measurements
  const { moduleId } = await verifyAttestation(Buffer.from(document, 'base64'), {
    ...{ roots: [root] as const, nonce, measurements: { PCR0, PCR1, PCR2 } },
  })
  return moduleId // the id of this enclave
}
