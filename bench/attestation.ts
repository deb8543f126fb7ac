// Claims of @cloister/attestation, on one core, per second of CPU: verification costs little more than its signatures,
// a known cabundle saves three of five and a known leaf four, and decoding is under 2 percent.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { makeBenchDocuments, type BenchDocuments } from './attestation-documents.ts'
import { median, type BenchRow } from './row.ts'

type Path = 'cold' | 'knownBundle' | 'knownLeaf'
type Kind = Path | `${Path}AtOnce` | 'floor' | 'decode'
type Round = Readonly<Record<Kind, number>>

const DOCUMENTS = 150
const CORE = '0'
const WARM_UP = 20
const TICKS_PER_SECOND = 100

export async function run(): Promise<BenchRow[]> {
  const documents = await makeBenchDocuments(DOCUMENTS)
  const rounds = await measure(documents)
  const nitriteSeconds = await measureNitrite(documents)
  const coldSeconds = median(rounds.map(({ coldAtOnce }) => coldAtOnce))
  return [
    againstFloor('verify cold, 5 signatures, node-crypto (>= 0.9)', rounds, 'coldAtOnce', 5),
    againstFloor(
      'cabundle known, 2 signatures, node-crypto (>= 0.9)',
      rounds,
      'knownBundleAtOnce',
      2,
    ),
    againstFloor('leaf known, 1 signature, node-crypto (>= 0.9)', rounds, 'knownLeafAtOnce', 1),
    againstFloor('verify cold, WebCrypto', rounds, 'cold', 5),
    againstFloor('cabundle known, WebCrypto', rounds, 'knownBundle', 2),
    againstFloor('leaf known, WebCrypto', rounds, 'knownLeaf', 1),
    {
      claim: 'verify cold against Go hf/nitrite (> 1)',
      ours: perSecond(coldSeconds),
      peer: `nitrite ${perSecond(nitriteSeconds)}`,
      ratio: nitriteSeconds / coldSeconds,
    },
    {
      claim: 'decoding as a share of a cold verification (< 0.02)',
      ours: `${(median(rounds.map(({ decode }) => decode)) * 1e6).toFixed(0)} us`,
      peer: `cold ${(coldSeconds * 1e6).toFixed(0)} us`,
      ratio: median(rounds.map(({ decode, coldAtOnce }) => decode / coldAtOnce)),
    },
  ]
}

function againstFloor(claim: string, rounds: readonly Round[], kind: Kind, signatures: number) {
  const floorSeconds = median(rounds.map(({ floor }) => floor)) * signatures
  return {
    claim,
    ours: perSecond(median(rounds.map((round) => round[kind]))),
    peer: `OpenSSL P-384 / ${signatures}: ${perSecond(floorSeconds)}`,
    ratio: median(rounds.map((round) => (round.floor * signatures) / round[kind])),
  }
}

function perSecond(seconds: number): string {
  return `${(1 / seconds).toFixed(0)}/s`
}

async function measure(documents: BenchDocuments): Promise<readonly Round[]> {
  const program = join(import.meta.dirname, 'attestation-verify.mjs')
  const child = spawn('taskset', ['-c', CORE, process.execPath, program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(JSON.stringify(documents))
  let output = ''
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
  await once(child, 'close')
  return JSON.parse(output) as readonly Round[]
}

/** CPU seconds per document of nitrite; includes reading it from a pipe as JSON. */
async function measureNitrite({ root, atMs, documents }: BenchDocuments): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-nitrite-'))
  const program = join(directory, 'nitrite')
  const source = join(import.meta.dirname, '../attestation/test/differential')
  execFileSync('go', ['build', '-o', program, '.'], { cwd: source, stdio: 'inherit' })
  const env = { ...process.env, GOMAXPROCS: '1' }
  const child = spawn('taskset', ['-c', CORE, program], { stdio: ['pipe', 'pipe', 'inherit'], env })
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ask = async (document: string): Promise<void> => {
    child.stdin.write(`${JSON.stringify({ root, atMs, document })}\n`)
    const answer = String((await answers.next()).value)
    if (answer !== 'accepted') throw new Error(`nitrite: ${answer}`)
  }
  for (const document of documents.slice(0, WARM_UP)) await ask(document)
  const begin = await cpuSeconds(child.pid)
  for (const document of documents) await ask(document)
  const seconds = ((await cpuSeconds(child.pid)) - begin) / documents.length
  child.stdin.end()
  await once(child, 'close')
  await rm(directory, { recursive: true })
  return seconds
}

/** CPU seconds of a process: utime and stime of /proc/<pid>/stat, in ticks of 10 ms. */
async function cpuSeconds(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${String(pid)}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}
