// The measuring process, pinned to one core by its parent: reads BenchDocuments as JSON from
// standard input, writes the CPU seconds per verification of each kind, by round, as JSON. All kinds are
// measured in every round, next to the floor: the same P-384 verifications by OpenSSL through node.

import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { createVerifier, inspectAttestation, SignatureCache } from '@cloister/attestation'
import { nodeCrypto } from '@cloister/attestation/node-crypto'

const ROUNDS = 9
/** Documents in a row, so that a run is measured warm. */
const RUN = 25
const { root, atMs, documents } = JSON.parse(await text(process.stdin))
const bytes = documents.map((document) => new Uint8Array(Buffer.from(document, 'base64')))
const options = { roots: [new Uint8Array(Buffer.from(root, 'base64'))], at: new Date(atMs) }
const [first] = bytes

/** CPU seconds of this process, its threads included: other load on the machine does not count. */
function cpuSeconds() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Mean CPU seconds of each action; they take turns on runs of documents. */
async function measure(actions) {
  const seconds = Object.fromEntries(Object.keys(actions).map((name) => [name, 0]))
  for (let at = 0; at < bytes.length; at += RUN) {
    const run = bytes.slice(at, at + RUN)
    for (const [name, action] of Object.entries(actions)) {
      const begin = cpuSeconds()
      for (const document of run) await action(document)
      seconds[name] += (cpuSeconds() - begin) / bytes.length
    }
  }
  return seconds
}

/** Node's synchronous P-384 verification: one signature. */
function floorAction() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const key = createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }))
  const message = Buffer.alloc(700, 7)
  const dsaEncoding = 'ieee-p1363'
  const signature = sign('sha384', message, { key: privateKey, dsaEncoding })
  return () => {
    if (!verify('sha384', message, { key, dsaEncoding }, signature)) throw new Error('not verified')
  }
}

/** A verifier whose cache forgets between documents: every verification is cold. */
function coldAction(more = {}) {
  const cache = new SignatureCache()
  const verifier = createVerifier({ ...options, cache, ...more })
  return (document) => {
    cache.clear()
    return verifier.verify(document)
  }
}

/** A verifier that knows the cabundle, but not the leaf of any document but the first. */
async function knownBundleAction(more = {}) {
  const verifier = createVerifier({ ...options, ...more })
  await verifier.verify(first)
  return (document) => verifier.verify(document)
}

/** A verifier that has seen the document's leaf. */
async function knownLeafAction(more = {}) {
  const verifier = createVerifier({ ...options, ...more })
  await verifier.verify(first)
  return () => verifier.verify(first)
}

const rounds = []
const atOnce = { crypto: nodeCrypto }
const floor = floorAction()
for (let round = 0; round < ROUNDS; round++) {
  rounds.push(
    await measure({
      floor,
      cold: coldAction(),
      knownBundle: await knownBundleAction(),
      knownLeaf: await knownLeafAction(),
      coldAtOnce: coldAction(atOnce),
      knownBundleAtOnce: await knownBundleAction(atOnce),
      knownLeafAtOnce: await knownLeafAction(atOnce),
      decode: (document) => inspectAttestation(document),
    }),
  )
}
process.stdout.write(JSON.stringify(rounds.slice(1)))
