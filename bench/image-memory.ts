// The peak memory of a build, from a root of 4 GiB in a directory and in an image's layers. Half of each file
// is random; the other half takes no room on this disk.

import { execFileSync } from 'node:child_process'
import { createHash, randomFillSync } from 'node:crypto'
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  ftruncateSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import type { BenchRow } from './row.ts'

const FILES = 512
const FILE_BYTES = 8 * 2 ** 20
const LIMIT_MIB = 200

export async function run(): Promise<readonly BenchRow[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    const rootfs = join(scratch, 'rootfs')
    makeRoot(rootfs)
    const rows = [row('a directory', build(`dir:${rootfs}`, scratch))]
    const archive = await saveImage(scratch, rootfs)
    rmSync(rootfs, { recursive: true })
    return [...rows, row('a docker archive', build(`docker-archive:${archive}`, scratch))]
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function makeRoot(path: string): void {
  mkdirSync(path)
  const noise = new Uint8Array(FILE_BYTES / 2)
  for (let index = 0; index < FILES; index++) {
    const file = openSync(join(path, `file${String(index)}`), 'w', 0o755)
    writeSync(file, randomFillSync(noise))
    ftruncateSync(file, FILE_BYTES)
    closeSync(file)
  }
}

/** An archive as `docker save` writes it, of one layer. */
async function saveImage(scratch: string, rootfs: string): Promise<string> {
  const saved = join(scratch, 'saved')
  mkdirSync(saved)
  const layer = join(saved, 'layer.tar')
  execFileSync('tar', ['-C', rootfs, '-cf', layer, '.'])
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(layer)) hash.update(chunk as Buffer)
  const config = {
    ...{ os: 'linux', architecture: 'amd64', config: {} },
    rootfs: { type: 'layers', diff_ids: [`sha256:${hash.digest('hex')}`] },
  }
  const manifest = [{ Config: 'config.json', RepoTags: ['big:1'], Layers: ['layer.tar'] }]
  writeFileSync(join(saved, 'config.json'), JSON.stringify(config))
  writeFileSync(join(saved, 'manifest.json'), JSON.stringify(manifest))
  const archive = join(scratch, 'saved.tar')
  execFileSync('tar', ['-C', saved, '-cf', archive, 'layer.tar', 'config.json', 'manifest.json'])
  rmSync(saved, { recursive: true })
  return archive
}

/** Runs the command; returns the peak resident memory of its largest process, in MiB: that of Node, by far. */
function build(reference: string, scratch: string): number {
  const output = join(scratch, 'image.eif')
  const flags = ['--docker-uri', reference, '--entrypoint', '/file0', '--quiet']
  const argv = [resolve('bundle/cli/main.js'), 'build-enclave', ...flags, '--output-file', output]
  const script = [
    'import resource, subprocess, sys',
    'subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)',
    'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)',
  ].join('\n')
  const words = execFileSync('python3', ['-c', script, process.execPath, ...argv])
  rmSync(output)
  return Number(words.toString()) / 1024
}

function row(source: string, peakMib: number): BenchRow {
  return {
    claim: `peak memory to build an image of a root of 4 GiB in ${source} (below 1)`,
    ours: `${peakMib.toFixed(0)} MiB`,
    peer: `limit: ${String(LIMIT_MIB)} MiB`,
    ratio: peakMib / LIMIT_MIB,
  }
}
