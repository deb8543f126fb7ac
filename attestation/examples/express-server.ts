// Express: the same gate as middleware.

import type { AddressInfo } from 'node:net'
import express from 'express'
import { createVerifier, type Attestation } from '@cloister/attestation'
import { attestedExpress, createGate } from '@cloister/attestation/http'
import { askEnclave, standInRoot } from './stand-in-enclave.ts'

const app = express()
app.use(attestedExpress(createGate(createVerifier({ roots: [standInRoot] }))))
app.get('/', (request, response) => {
  const { attestation } = request as typeof request & { attestation: Attestation }
  response.send(`hello ${attestation.moduleId}`)
})
const server = app.listen(0, '127.0.0.1')
await new Promise((resolve) => server.once('listening', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

const refused = await fetch(url)
const challenge = /nonce="(.+)"/.exec(refused.headers.get('www-authenticate') ?? '')?.[1] ?? ''
const document = await askEnclave({ nonce: Buffer.from(challenge, 'base64url') })
const headers = { 'attestation-document': Buffer.from(document).toString('base64') }
const admitted = await fetch(url, { headers })
console.log('first', refused.status)
console.log('then', admitted.status, await admitted.text())
server.close()
