// What runs in the page of bench/attestation-browser.ts.

import { createVerifier, SignatureCache } from '/index.js'

const ROUNDS = 9
/** Documents per kind before the first round. */
const WARM_UP = 600
/** The page's clock ticks in tenths of milliseconds. */
const MS_PER_SECOND = 1000

export async function measure({ root, atMs, documents }) {
  const bytes = documents.map(fromBase64)
  const options = { roots: [fromBase64(root)], at: new Date(atMs) }
  for (let count = 0; count < WARM_UP; count += bytes.length) await round(options, bytes)
  const rounds = []
  for (let i = 0; i < ROUNDS; i++) rounds.push(await round(options, bytes))
  return rounds
}

async function round(options, bytes) {
  const [first] = bytes
  const cache = new SignatureCache()
  const forgetting = createVerifier({ ...options, cache })
  const knowing = createVerifier(options)
  await knowing.verify(first)
  const familiar = createVerifier(options)
  await familiar.verify(first)
  const cold = (document) => {
    cache.clear()
    return forgetting.verify(document)
  }
  return {
    bare: await seconds(await bareVerification(), bytes),
    cold: await seconds(cold, bytes),
    knownBundle: await seconds((document) => knowing.verify(document), bytes),
    knownLeaf: await seconds(() => familiar.verify(first), bytes),
  }
}

/** Mean seconds per document. */
async function seconds(action, bytes) {
  const begin = performance.now()
  for (const document of bytes) await action(document)
  return (performance.now() - begin) / bytes.length / MS_PER_SECOND
}

/** One signature of a certificate's size, with a key that is ready. */
async function bareVerification() {
  const key = { name: 'ECDSA', namedCurve: 'P-384' }
  const algorithm = { name: 'ECDSA', hash: 'SHA-384' }
  const { privateKey, publicKey } = await crypto.subtle.generateKey(key, false, ['sign', 'verify'])
  const message = new Uint8Array(700).fill(7)
  const signature = await crypto.subtle.sign(algorithm, privateKey, message)
  return async () => {
    if (!(await crypto.subtle.verify(algorithm, publicKey, signature, message))) throw new Error()
  }
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}
