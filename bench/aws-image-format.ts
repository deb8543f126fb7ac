// An image of a directory of 300 MB beside AWS's crate, which packs the same kernel and ramdisks, and
// the same image read by both. Each is a process of its own, as users run it.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { extractImage } from '../src/image/index.ts'
import { median, roundsOr, type BenchRow } from './row.ts'

const ROUNDS = roundsOr(5)
const FILES = 300
const FILE_BYTES = 1_000_000
const CLOISTER = resolve('bundle/cli/main.js')
const AWS = resolve('build/bin/aws-eif')

export async function run(): Promise<readonly BenchRow[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    const build = cloisterBuild(scratch)
    execFileSync(...build)
    const plan = await planOf(scratch)
    const times: Record<'build' | 'pack' | 'describe' | 'read', number[]> = {
      ...{ build: [], pack: [], describe: [], read: [] },
    }
    for (let round = 0; round < ROUNDS; round++) {
      times.build.push(timeOf(build))
      const read = timeOf([AWS, ['describe', join(scratch, 'ours.eif')]])
      times.read.push(read)
      // Their program describes what it has built.
      times.pack.push(timeOf([AWS, ['build', plan, join(scratch, 'theirs.eif')]]) - read)
      const describe = ['describe-eif', '--eif-path', join(scratch, 'ours.eif')]
      times.describe.push(timeOf([process.execPath, [CLOISTER, ...describe]]))
    }
    return [
      row('build an image of a directory of 300 MB (at most 0.50)', times.build, times.pack),
      row('describe-eif of that image (at most 0.59)', times.describe, times.read),
    ]
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

type Command = readonly [program: string, args: readonly string[]]

/** The command that builds the directory's image; half of each file packs well. */
function cloisterBuild(scratch: string): Command {
  const rootfs = join(scratch, 'rootfs')
  mkdirSync(rootfs)
  const zeros = Buffer.alloc(FILE_BYTES / 2)
  for (let n = 0; n < FILES; n++) {
    const bytes = Buffer.concat([randomBytes(FILE_BYTES / 2), zeros])
    writeFileSync(join(rootfs, `file${String(n)}`), bytes)
  }
  const source = ['--rootfs', rootfs, '--entrypoint', '/file0', '--root', 'cpio', '--quiet']
  const output = ['--output-file', join(scratch, 'ours.eif')]
  return [process.execPath, [CLOISTER, 'build-enclave', ...source, ...output]]
}

/** What AWS's program is to pack: the sections of our image. */
async function planOf(scratch: string): Promise<string> {
  const parts = join(scratch, 'parts')
  await extractImage(join(scratch, 'ours.eif'), parts)
  const path = join(scratch, 'plan.json')
  const labels = { name: 'a', version: '1', buildTime: '2024-01-01T00:00:00+00:00' }
  const tools = {
    buildTool: 'x',
    buildToolVersion: '1',
    operatingSystem: 'Linux',
    kernelVersion: '6',
  }
  const sections = {
    kernel: join(parts, 'kernel'),
    cmdline: readFileSync(join(parts, 'cmdline'), 'utf8'),
    ramdisks: [join(parts, 'ramdisk0'), join(parts, 'ramdisk1')],
  }
  writeFileSync(path, JSON.stringify({ arch: 'x86_64', ...labels, ...tools, ...sections }))
  return path
}

function timeOf([program, args]: Command): number {
  const begin = performance.now()
  execFileSync(program, args, { maxBuffer: 2 ** 26 })
  return performance.now() - begin
}

function row(claim: string, ours: readonly number[], theirs: readonly number[]): BenchRow {
  const [first, second] = [median(ours), median(theirs)]
  const peer = `AWS's crate: ${second.toFixed(0)} ms`
  return { claim, ours: `${first.toFixed(0)} ms`, peer, ratio: first / second }
}
