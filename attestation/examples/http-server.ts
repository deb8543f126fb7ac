// Node's http: a service for attested clients only, and a client that is one.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createVerifier } from '@cloister/attestation'
import { attestedHandler, createGate } from '@cloister/attestation/http'
import { askEnclave, standInMeasurements, standInRoot } from './stand-in-enclave.ts'

const gate = createGate(createVerifier({ roots: [standInRoot], measurements: standInMeasurements }))
const handle = attestedHandler(gate, (_request, response, attestation) => {
  response.end(`hello ${attestation.moduleId}`)
})
const server = createServer((request, response) => void handle(request, response))
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

const refused = await fetch(url)
const challenge = /nonce="(.+)"/.exec(refused.headers.get('www-authenticate') ?? '')?.[1] ?? ''
console.log('first', refused.status, await refused.text())

const document = await askEnclave({ nonce: Buffer.from(challenge, 'base64url') })
const headers = { 'attestation-document': Buffer.from(document).toString('base64') }
const admitted = await fetch(url, { headers })
console.log('then', admitted.status, await admitted.text())
console.log('again', (await fetch(url, { headers })).status)
server.close()
