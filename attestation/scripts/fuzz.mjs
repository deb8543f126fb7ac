// Fuzz mode: `node attestation/scripts/fuzz.mjs <seed.json> [count] [seed]`, 1,000,000 inputs by
// default. The seed file holds a valid document and its root: `{ root, atMs, document }`, base64;
// bench/attestation-fuzz.ts makes one. Random bytes, random CBOR and damaged documents: each must be refused
// with a coded error, none may be accepted, and the memory must stay bounded.

import { readFileSync } from 'node:fs'
import { AttestationError, createVerifier } from '@cloister/attestation'

const [file, count = '1000000', seed = '1'] = process.argv.slice(2)
const { root, atMs, document } = JSON.parse(readFileSync(file, 'utf8'))
const original = new Uint8Array(Buffer.from(document, 'base64'))
const roots = [new Uint8Array(Buffer.from(root, 'base64'))]
const verifier = createVerifier({ roots, at: new Date(atMs) })

let state = Number(seed) || 1
function random(limit) {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) % limit
}

const randomBytes = (length) => Uint8Array.from({ length }, () => random(256))

/** Heads of CBOR items, nested at random. */
const randomCbor = () => Uint8Array.from({ length: 1 + random(64) }, () => [0x84, 0xd2, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xbf, 0xff, 0x9f, 0x5f, 0x1b, 0x58, 0x78, 0xa0, random(256)][random(16)]) // prettier-ignore

/** Replaces, removes, repeats or swaps a run of bytes. */
function damaged() {
  const at = random(original.length)
  const length = 1 + random(8)
  const [before, run, after] = [original.subarray(0, at), original.subarray(at, at + length), original.subarray(at + length)] // prettier-ignore
  const middle = [randomBytes(length), [], [...run, ...run], [...run].reverse()][random(4)]
  return Uint8Array.from([...before, ...middle, ...after])
}

const kinds = [() => randomBytes(random(256)), randomCbor, damaged, damaged]
const codes = new Map()
const begin = performance.now()
let unchanged = 0
let peakBytes = 0

for (let i = 0; i < Number(count); i++) {
  const input = kinds[random(kinds.length)]()
  try {
    await verifier.verify(input)
    if (Buffer.compare(input, original) !== 0) throw new Error(`input ${i} was accepted`)
    unchanged += 1
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error
    codes.set(error.code, (codes.get(error.code) ?? 0) + 1)
  }
  if (i % 10_000 === 0) peakBytes = Math.max(peakBytes, process.memoryUsage().rss)
}

const seconds = (performance.now() - begin) / 1000
const sorted = [...codes].toSorted(([, a], [, b]) => b - a)
console.log(`${count} inputs in ${seconds.toFixed(0)} s, none wrongly accepted, no uncoded error`)
console.log(
  `${unchanged} happened to be the document itself; peak memory ${(peakBytes / 2 ** 20).toFixed(0)} MiB`,
)
for (const [code, times] of sorted) console.log(`${String(times).padStart(8)} ${code}`)
