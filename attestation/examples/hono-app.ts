// Hono, on any runtime: the same gate as middleware.

import { Hono } from 'hono'
import { createVerifier, type Attestation } from '@cloister/attestation'
import { attestedHono, createGate } from '@cloister/attestation/http'
import { askEnclave, standInRoot } from './stand-in-enclave.ts'

const app = new Hono<{ Variables: { attestation: Attestation } }>()
app.use(attestedHono(createGate(createVerifier({ roots: [standInRoot] }))))
app.get('/', (context) => context.text(`hello ${context.get('attestation').moduleId}`))

const refused = await app.request('/')
const challenge = /nonce="(.+)"/.exec(refused.headers.get('www-authenticate') ?? '')?.[1] ?? ''
const document = await askEnclave({ nonce: Buffer.from(challenge, 'base64url') })
const headers = { 'attestation-document': Buffer.from(document).toString('base64') }
const admitted = await app.request('/', { headers })
console.log('first', refused.status)
console.log('then', admitted.status, await admitted.text())
