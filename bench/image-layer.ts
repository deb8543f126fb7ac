// An image of one gzip layer of 200 MB against "gunzip, and SHA-384 the result": what a build cannot do
// without. The peak is that of a process of its own.

import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'

import { writeLayout } from '../test/fixtures/image/archive.ts'
import { median, roundsOr, type BenchRow } from './row.ts'

const ROUNDS = roundsOr(5)
const FILES = 200
const FILE_BYTES = 1_000_000
const BLOCK_BYTES = 512

export async function run(): Promise<readonly BenchRow[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    const layer = layerOf(FILES, FILE_BYTES)
    const packed = gzipSync(layer, { level: 6 })
    const layout = join(scratch, 'layout')
    await writeLayout(layout, { layers: [layer], packed: [packed] })
    const archive = join(layout, 'blobs/sha256', createHash('sha256').update(packed).digest('hex'))
    const builds: number[] = []
    const floors: number[] = []
    let peakMib = 0
    for (let round = 0; round < ROUNDS; round++) {
      floors.push(
        timeOf(() => execFileSync('sh', ['-c', `gunzip -c < ${archive} | openssl sha384`])),
      )
      builds.push(timeOf(() => (peakMib = build(layout, join(scratch, 'image.eif')))))
    }
    const [ours, floor] = [median(builds), median(floors)]
    return [
      {
        claim: 'build an image of a gzip layer of 200 MB (at most 1.7)',
        ours: `${ours.toFixed(0)} ms, peak ${peakMib.toFixed(0)} MiB`,
        peer: `gunzip and SHA-384 of the result: ${floor.toFixed(0)} ms`,
        ratio: ours / floor,
      },
    ]
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Half of each file is random, so that the archive packs to about half. */
function layerOf(files: number, fileBytes: number): Buffer {
  const size = Math.ceil(fileBytes / BLOCK_BYTES) * BLOCK_BYTES
  const parts = Array.from({ length: files }, (_, index) => {
    const header = Buffer.alloc(BLOCK_BYTES)
    header.write(`file${String(index)}`)
    header.write('0000644\u00000000000\u00000000000\u0000', 100, 'latin1')
    header.write(`${fileBytes.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
    header.write('        0', 148, 'latin1')
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    const data = Buffer.alloc(size)
    data.set(randomBytes(fileBytes >> 1))
    return Buffer.concat([header, data])
  })
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)])
}

/** Runs the command; returns its peak resident memory in MiB. */
function build(layout: string, output: string): number {
  const preload =
    "import { writeSync } from 'node:fs';" +
    "process.on('exit', () => writeSync(2, `peak ${process.resourceUsage().maxRSS} KiB`))"
  const source = [
    '--docker-uri',
    `oci:${layout}`,
    '--entrypoint',
    '/file0',
    '--root',
    'cpio',
    '--quiet',
  ]
  const flags = ['build-enclave', ...source, '--output-file', output]
  const node = ['--import', `data:text/javascript,${encodeURIComponent(preload)}`]
  const script = '"$0" "$@" 2>&1 >/dev/null'
  const argv = [process.execPath, ...node, resolve('bundle/cli/main.js'), ...flags]
  const words = execFileSync('sh', ['-c', script, ...argv], { encoding: 'utf8' })
  return Number(/peak (\d+) KiB/.exec(words)?.[1]) / 1024
}

function timeOf(work: () => unknown): number {
  const begin = performance.now()
  work()
  return performance.now() - begin
}
