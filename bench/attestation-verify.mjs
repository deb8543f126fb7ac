// The measuring process, pinned to one core by its parent: reads BenchDocuments as JSON from
// standard input, writes the CPU seconds per verification of each kind, by round, as JSON. In every
// round all kinds are measured next to their floors and peers: `openssl speed`, bare verifications,
// Go's nitrite. Arguments: `node` (node:crypto) or `subtle` (WebCrypto), and nitrite's program.

import { execFileSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync, sign, verify, webcrypto } from 'node:crypto'
import { text } from 'node:stream/consumers'
import {
  createVerifier,
  inspectAttestation,
  SignatureCache,
  verifyAttestation,
} from '@cloister/attestation'
import { nodeCrypto } from '@cloister/attestation/node-crypto'

const ROUNDS = 9
/** Documents per kind before the first round: V8 optimizes late, because a document takes long. */
const WARM_UP = 2000
/** Documents in a row, so that a run is measured warm. */
const RUN = 25
/** How many keys and signatures a floor alternates between, as documents do. */
const FLOOR_KEYS = 50
const P384 = { name: 'ECDSA', namedCurve: 'P-384' }
const ES384 = { name: 'ECDSA', hash: 'SHA-384' }

const input = await text(process.stdin)
const { root, atMs, documents } = JSON.parse(input)
const bytes = documents.map((document) => new Uint8Array(Buffer.from(document, 'base64')))
const options = { roots: [new Uint8Array(Buffer.from(root, 'base64'))], at: new Date(atMs) }
const [first] = bytes

/** CPU seconds of this process, its threads included: other load on the machine does not count. */
function cpuSeconds() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Mean CPU seconds per document of each action; they take turns, so that noise hits all alike. */
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

/** A signature of a certificate's size by a key of its own. */
function makeSigned() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const message = Buffer.alloc(700, 7)
  const der = publicKey.export({ type: 'spki', format: 'der' })
  return {
    message,
    key: createPublicKey({ key: der, type: 'spki', format: 'der' }),
    imported: webcrypto.subtle.importKey('spki', der, P384, false, ['verify']),
    signature: sign('sha384', message, privateKey),
    raw: sign('sha384', message, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  }
}

/** Node's synchronous P-384 verification with a key that is ready: one signature. */
function bareNode(signed) {
  let at = 0
  return () => {
    const { message, key, signature } = signed[at++ % signed.length]
    if (!verify('sha384', message, key, signature)) throw new Error('not verified')
  }
}

/** The same through WebCrypto, one after the other. */
async function bareSubtle(signed) {
  const keys = await Promise.all(signed.map(({ imported }) => imported))
  let at = 0
  return async () => {
    const i = at++ % signed.length
    const { message, raw } = signed[i]
    if (!(await webcrypto.subtle.verify(ES384, keys[i], raw, message))) throw new Error('no')
  }
}

/** A verifier whose cache forgets everything between documents: nothing but its root is known. */
function cold(more) {
  const cache = new SignatureCache()
  const verifier = createVerifier({ ...options, cache, ...more })
  return (document) => {
    cache.clear()
    return verifier.verify(document)
  }
}

/** A verifier that knows the cabundle, but not the leaf of any document but the first. */
async function knownBundle(more) {
  const verifier = createVerifier({ ...options, ...more })
  await verifier.verify(first)
  return (document) => verifier.verify(document)
}

/** A verifier that has seen the document's leaf. */
async function knownLeaf(more) {
  const verifier = createVerifier({ ...options, ...more })
  await verifier.verify(first)
  return () => verifier.verify(first)
}

/** Seconds per verification: of `+F4:<n>:<bits>:<signs per second>:<verifies per second>`. */
function opensslSpeed() {
  const args = ['speed', '-mr', '-seconds', '1', 'ecdsap384']
  const stdio = ['ignore', 'pipe', 'ignore']
  const output = execFileSync('openssl', args, { encoding: 'utf8', stdio })
  return 1 / Number(/^\+F\d+:\d+:384:[^:]+:(\S+)$/m.exec(output)?.[1])
}

function nitrite() {
  const env = { ...process.env, GOMAXPROCS: '1' }
  return Number(execFileSync(nitriteProgram, ['bench'], { input, encoding: 'utf8', env }))
}

const signed = Array.from({ length: FLOOR_KEYS }, makeSigned)

/** What a process measures: each WebCrypto has a process of its own, as a server would have. */
const kinds = {
  node: async () => ({
    bare: bareNode(signed),
    cold: cold({ crypto: nodeCrypto }),
    oneShot: (document) => verifyAttestation(document, { ...options, crypto: nodeCrypto }),
    knownBundle: await knownBundle({ crypto: nodeCrypto }),
    knownLeaf: await knownLeaf({ crypto: nodeCrypto }),
    decode: (document) => inspectAttestation(document),
  }),
  subtle: async () => ({
    bare: await bareSubtle(signed),
    cold: cold({}),
    knownBundle: await knownBundle({}),
    knownLeaf: await knownLeaf({}),
  }),
}
const [which, nitriteProgram] = process.argv.slice(2)
const actions = kinds[which]

for (let count = 0; count < WARM_UP; count += bytes.length) await measure(await actions())
const rounds = []
for (let round = 0; round < ROUNDS; round++) {
  const peers = { opensslSpeed: opensslSpeed(), nitrite: nitrite() }
  rounds.push({ ...peers, ...(await measure(await actions())) })
}
process.stdout.write(JSON.stringify(rounds))
