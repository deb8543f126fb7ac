// The two kinds of root file system: how long an app takes to start in a tree of this machine's Debian
// files, and the memory that the image needs, for the same tree as a compressed image and unpacked.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { CloisterError } from '../src/errors.ts'
import { buildImage, openPlatformBlobs, ROOT_KINDS, type RootKind } from '../src/image/index.ts'
import { measureImage } from '../src/keeper/parts/measured-image.ts'
import { launchOurs, requestFor } from './launch-rounds.ts'
import { median, roundsOr, type BenchRow } from './row.ts'

const SIZES_MB = [50, 200, 1000]
const ROUNDS = roundsOr(3)
/** Where the files come from, in this order; in each by name. */
const SOURCES = ['/usr/bin', '/usr/lib', '/usr/share']

type ByKind = Readonly<Record<RootKind, number>>

export async function run(): Promise<readonly BenchRow[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    const rows: BenchRow[] = []
    for (const sizeMb of SIZES_MB) rows.push(...(await compare(scratch, sizeMb)))
    return rows
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function compare(scratch: string, sizeMb: number): Promise<readonly BenchRow[]> {
  const tree = join(scratch, String(sizeMb))
  copyFiles(tree, sizeMb * 1e6)
  cpSync(resolve('build/hello/rootfs/hello'), join(tree, 'hello'))
  const path = (kind: RootKind): string => join(scratch, `${kind}.eif`)
  for (const kind of ROOT_KINDS) await build(tree, kind, path(kind))
  rmSync(tree, { recursive: true })
  const needed: ByKind = {
    squashfs: await neededMib(path('squashfs'), scratch),
    cpio: await neededMib(path('cpio'), scratch),
  }
  const times: Record<RootKind, number[]> = { squashfs: [], cpio: [] }
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of ROOT_KINDS) {
      const request = requestFor(path(kind), scratch, needed.cpio)
      times[kind].push((await launchOurs(request)).appMs)
    }
  }
  const medians = { squashfs: median(times.squashfs), cpio: median(times.cpio) }
  return [
    row(`start in a root of ${String(sizeMb)} MB (below 1)`, medians, 'ms'),
    row(`memory for a root of ${String(sizeMb)} MB (root: 1.1)`, needed, 'MiB'),
  ]
}

/** Copies files until they have so many bytes. */
function copyFiles(tree: string, bytes: number): void {
  const args = [...SOURCES, '-xdev', '-type', 'f', '-printf', '%s %p\\n']
  const lines = execFileSync('find', args, { encoding: 'utf8', maxBuffer: 2 ** 28 }).split('\n')
  let left = bytes
  for (const line of lines.sort((a, b) => byPath(a, b))) {
    const [, size = '', file = ''] = /^(\d+) (.*)$/.exec(line) ?? []
    if (file === '' || Number(size) > left) continue
    mkdirSync(join(tree, dirname(file)), { recursive: true })
    cpSync(file, join(tree, file))
    left -= Number(size)
  }
}

function byPath(a: string, b: string): number {
  const [first, second] = [a, b].map((line) => line.slice(line.indexOf('/')))
  return (first ?? '') < (second ?? '') ? -1 : 1
}

async function build(tree: string, root: RootKind, output: string): Promise<void> {
  await buildImage({
    source: { kind: 'directory', path: tree },
    blobs: await openPlatformBlobs(resolve('build/blobs'), {}),
    config: { entrypoint: ['/hello'] },
    root,
    output,
  })
}

/** What a refusal names. */
async function neededMib(path: string, scratch: string): Promise<number> {
  try {
    using image = await measureImage(path, scratch, { memoryMib: 64, cpuCount: 1 })
    return image.eif.sections.length > 0 ? 64 : 0
  } catch (error) {
    return Number((error as CloisterError).details['neededMib'])
  }
}

function row(claim: string, { squashfs, cpio }: ByKind, unit: string): BenchRow {
  const show = (value: number): string => `${value.toFixed(0)} ${unit}`
  return { claim, ours: show(squashfs), peer: `cpio: ${show(cpio)}`, ratio: squashfs / cpio }
}
