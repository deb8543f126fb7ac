// Claims of @cloister/attestation, on one core, per second of CPU: verification costs little more
// than its signatures, a known cabundle saves three of five and a known leaf four, and decoding is
// under 2 percent. Warm, because a server is; cold means that of a chain nothing is known: all five
// signatures are computed and four keys imported, the root's having been imported with the options.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { measureInBrowser } from './attestation-browser.ts'
import { makeBenchDocuments, type BenchDocuments } from './attestation-documents.ts'
import { median, type BenchRow } from './row.ts'

type Kind = 'cold' | 'knownBundle' | 'knownLeaf' | 'bare' | 'opensslSpeed' | 'nitrite'
type NodeKind = Kind | 'oneShot' | 'decode'
type Round<K extends string> = Readonly<Record<K, number>>

const DOCUMENTS = 150
const CORE = '0'
/** With what the rows of the synchronous adapter are measured. */
const ADAPTER = `node-crypto on Node ${process.versions.node}, OpenSSL ${process.versions.openssl}`
const NITRITE = join(import.meta.dirname, '../attestation/test/differential')

export async function run(): Promise<BenchRow[]> {
  const documents = await makeBenchDocuments(DOCUMENTS)
  const { node, subtle } = await measure(documents)
  const browser = await measureInBrowser(documents, CORE)
  return [
    against(`verify cold, 5 signatures, ${ADAPTER} (>= 0.9)`, node, 'cold', openssl(5)),
    against(`cabundle known, 2 signatures, ${ADAPTER} (>= 0.9)`, node, 'knownBundle', openssl(2)),
    against(`leaf known, 1 signature, ${ADAPTER} (>= 0.9)`, node, 'knownLeaf', openssl(1)),
    ...barelyRows("node's own OpenSSL", 'crypto.verify', node),
    against('verifyAttestation, root and options read anew', node, 'oneShot', openssl(5)),
    against('verify cold against Go hf/nitrite (> 1)', node, 'cold', ['nitrite', 'nitrite', 1]),
    decodingRow(node),
    against('verify cold, WebCrypto', subtle, 'cold', openssl(5)),
    against('cabundle known, WebCrypto', subtle, 'knownBundle', openssl(2)),
    against('leaf known, WebCrypto', subtle, 'knownLeaf', openssl(1)),
    ...barelyRows("node's WebCrypto", 'subtle.verify', subtle),
    ...barelyRows('headless Chromium', 'subtle.verify', browser),
  ]
}

function openssl(signatures: number): Peer<'opensslSpeed'> {
  return ['opensslSpeed', 'openssl speed', signatures]
}

/** Against the same number of signatures by the same implementation, with keys that are ready. */
function barelyRows(
  where: string,
  call: string,
  rounds: readonly Round<'cold' | 'knownBundle' | 'knownLeaf' | 'bare'>[],
): readonly BenchRow[] {
  const bare = (signatures: number) => ['bare', `bare ${call}`, signatures] as const
  return [
    against(`verify cold, ${where}`, rounds, 'cold', bare(5)),
    against(`cabundle known, ${where}`, rounds, 'knownBundle', bare(2)),
    against(`leaf known, ${where}`, rounds, 'knownLeaf', bare(1)),
  ]
}

function decodingRow(rounds: readonly Round<'decode' | 'cold'>[]): BenchRow {
  const micros = (kind: 'decode' | 'cold') =>
    `${(median(rounds.map((round) => round[kind])) * 1e6).toFixed(0)} us`
  return {
    claim: 'decoding as a share of a cold verification (< 0.02)',
    ours: micros('decode'),
    peer: `cold ${micros('cold')}`,
    ratio: median(rounds.map(({ decode, cold }) => decode / cold)),
  }
}

type Peer<K> = readonly [kind: K, name: string, times: number]

/** Medians over the rounds; the ratio is the median of the rounds' ratios. */
function against<K extends string>(
  claim: string,
  rounds: readonly Round<K>[],
  kind: NoInfer<K>,
  [floor, name, times]: Peer<NoInfer<K>>,
): BenchRow {
  const floorSeconds = median(rounds.map((round) => round[floor])) * times
  const divisor = times === 1 ? '' : ` / ${times}`
  return {
    claim,
    ours: perSecond(median(rounds.map((round) => round[kind]))),
    peer: `${name}${divisor}: ${perSecond(floorSeconds)}`,
    ratio: median(rounds.map((round) => (round[floor] * times) / round[kind])),
  }
}

function perSecond(seconds: number): string {
  return `${(1 / seconds).toFixed(0)}/s`
}

/** Both adapters, one after the other; Go's nitrite and OpenSSL's own figure are in every round. */
async function measure(documents: BenchDocuments) {
  const directory = await mkdtemp(join(tmpdir(), 'bench-attestation-'))
  try {
    const nitrite = join(directory, 'nitrite')
    execFileSync('go', ['build', '-o', nitrite, '.'], { cwd: NITRITE, stdio: 'inherit' })
    const node = await runPinned<NodeKind>(['node', nitrite], documents)
    return { node, subtle: await runPinned<Kind>(['subtle', nitrite], documents) }
  } finally {
    await rm(directory, { recursive: true })
  }
}

async function runPinned<K extends string>(
  args: readonly string[],
  documents: BenchDocuments,
): Promise<readonly Round<K>[]> {
  const program = join(import.meta.dirname, 'attestation-verify.mjs')
  const child = spawn('taskset', ['-c', CORE, process.execPath, program, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(JSON.stringify(documents))
  let output = ''
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
  await once(child, 'close')
  return JSON.parse(output) as readonly Round<K>[]
}
