// Building an image against hashing the same bytes once: what a build adds to the unavoidable.

import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { buildImage, openPlatformBlobs } from '../src/image/index.ts'
import { median, roundsOr, type BenchRow } from './row.ts'

const ROUNDS = roundsOr(5)
const FILES = 64
const FILE_BYTES = 2 ** 20

export async function run(): Promise<readonly BenchRow[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    const rootfs = join(scratch, 'rootfs')
    mkdirSync(rootfs)
    for (let n = 0; n < FILES; n++)
      writeFileSync(join(rootfs, `file${String(n)}`), randomBytes(FILE_BYTES))
    const output = join(scratch, 'image.eif')
    const builds: number[] = []
    const hashes: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      builds.push(await timeOf(() => build(rootfs, output)))
      hashes.push(await timeOf(() => createHash('sha384').update(readFileSync(output)).digest()))
    }
    const [ours, floor] = [median(builds), median(hashes)]
    const mib = Math.round(statSync(output).size / 2 ** 20)
    return [
      {
        claim: `build an image of ${String(mib)} MiB`,
        ours: `${ours.toFixed(0)} ms`,
        peer: `read and SHA-384 once: ${floor.toFixed(0)} ms`,
        ratio: ours / floor,
      },
    ]
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function build(rootfs: string, output: string): Promise<void> {
  await buildImage({
    source: { kind: 'directory', path: rootfs },
    blobs: await openPlatformBlobs(resolve('build/blobs'), {}),
    config: { entrypoint: ['/file0'] },
    root: 'cpio',
    output,
  })
}

async function timeOf(work: () => unknown): Promise<number> {
  const begin = performance.now()
  await work()
  return performance.now() - begin
}
