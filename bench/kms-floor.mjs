// What a Decrypt with a document cannot do without, in a process of its own: one verification with a known bundle, one
// RSA-OAEP encryption, AES, one durable entry in the log. Its argument is JSON; prints how many it does in a second.

import { createCipheriv, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { createVerifier } from '@cloister/attestation'
import { Store } from '../dist/kms/store/store.js'

const WARM_UP = 2000
const { root, document, spki, store: path, keyFile, entry, count } = JSON.parse(process.argv[2])
const bytes = (text) => Buffer.from(text, 'base64')

const verifier = createVerifier({ roots: [bytes(root)], maxAgeMs: 300_000 })
const attestation = bytes(document)
const key = createPublicKey({ key: bytes(spki), format: 'der', type: 'spki' })
const store = Store.open(path, { keyFile })

async function once() {
  await verifier.verify(attestation)
  const content = randomBytes(32)
  publicEncrypt({ key, oaepHash: 'sha256' }, content)
  createCipheriv('aes-256-cbc', content, randomBytes(16)).update(randomBytes(32))
  store.transaction(() => store.audit.append(entry))
}

for (let warm = 0; warm < WARM_UP; warm++) await once()
const begin = performance.now()
for (let done = 0; done < count; done++) await once()
const perSecond = (count * 1000) / (performance.now() - begin)
store[Symbol.dispose]()
process.stdout.write(`${String(perSecond)}\n`)
