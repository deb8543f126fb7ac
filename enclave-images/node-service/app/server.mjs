// An HTTP service: / greets, /attestation?nonce=HEX returns an attestation document.

import { createServer } from 'node:http'
import { attestationDocument } from './nsm.mjs'

function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://enclave')
  if (pathname === '/') return response.end('Hello from Node in an enclave.\n')
  if (pathname !== '/attestation') return response.writeHead(404).end('not found\n')
  const nonce = searchParams.get('nonce') ?? ''
  if (!/^([0-9a-f]{2})*$/i.test(nonce)) return response.writeHead(400).end('nonce: not hex\n')
  const document = attestationDocument(Buffer.from(nonce, 'hex'))
  response.writeHead(200, { 'content-type': 'application/cbor' }).end(document)
}

createServer((request, response) => {
  try {
    answer(request, response)
  } catch (error) {
    response.writeHead(error instanceof RangeError ? 400 : 500).end(`${error.message}\n`)
  }
}).listen(8080, '127.0.0.1')
