// The root file system as a SquashFS image, written by the program cloister-squashfs: its compressor is
// built from source at a version that Cargo.lock pins, so the bytes do not depend on the machine.

import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { check, reasonOf } from '../../errors.ts'
import type { Content } from '../../eif/index.ts'
import { Spool, chunksOf } from '../../files/index.ts'
import { PROGRAM_PATH, confine } from '../../subprocess/index.ts'
import { tarOf } from '../archive/tar-writer.ts'
import { findSquashfsWriter } from '../find-squashfs-writer.ts'
import type { ReportProgress } from '../progress.ts'
import { batch } from '../ramdisk/batch.ts'
import { flatten, type Directory } from '../tree/tree.ts'

/** What is kept of the program's last words. */
const MAX_WORDS_BYTES = 4096

/** The image can be read until it is disposed of. */
export interface SquashfsImage extends Content, AsyncDisposable {}

/**
 * Writes the image of a tree to a file without a name.
 * @throws ERR_IMAGE_TOOL_MISSING, ERR_IMAGE_ROOT, ERR_IMAGE_SOURCE_CHANGED, ERR_FILE_TEMPORARY
 */
export async function squashfsOf(root: Directory, report: ReportProgress): Promise<SquashfsImage> {
  const program = findSquashfsWriter()
  const spool = await Spool.create()
  try {
    await run(program, spool, reportPacking(batch(tarOf(root)), totalBytes(root), report))
    const { size } = await spool.adopt()
    return {
      size,
      chunks: () => chunksOf(spool.source(), 0, size),
      [Symbol.asyncDispose]: () => spool[Symbol.asyncDispose](),
    }
  } catch (error) {
    await spool[Symbol.asyncDispose]()
    throw error
  }
}

async function run(
  program: string,
  spool: Spool,
  archive: AsyncIterable<Uint8Array>,
): Promise<void> {
  const [setpriv = '', ...args] = confine([program], {})
  const child = spawn(setpriv, args, {
    stdio: ['pipe', spool.fd, 'pipe'],
    env: { PATH: PROGRAM_PATH, LC_ALL: 'C' },
  }) as ChildProcessByStdio<Writable, null, Readable>
  const ended = endOf(child)
  const words = lastWords(child)
  const failure = await feed(child.stdin, archive)
  if (failure !== undefined) child.kill('SIGKILL')
  const { status, cause } = await ended
  if (failure !== undefined) throw failure
  check(status === 0, 'ERR_IMAGE_ROOT', `cloister-squashfs failed: ${words() || String(status)}`, {
    details: { program, status },
    ...(cause !== undefined && { cause }),
  })
}

/**
 * Returns why the archive could not be read. That the program no longer reads is not a failure here:
 * its status says why.
 */
async function feed(
  input: Writable,
  archive: AsyncIterable<Uint8Array>,
): Promise<Error | undefined> {
  try {
    await pipeline(archive, input)
    return undefined
  } catch (error) {
    const failure = error as NodeJS.ErrnoException
    const isOfProgram = ['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(failure.code ?? '')
    return isOfProgram ? undefined : failure
  }
}

interface End {
  readonly status: number | string
  readonly cause?: Error
}

function endOf(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once('error', (cause) => {
      resolve({ status: `it cannot be started: ${reasonOf(cause)}`, cause })
    })
    child.once('close', (code, signal) => {
      resolve({ status: code ?? signal ?? 'unknown' })
    })
  })
}

function lastWords({ stderr }: ChildProcess): () => string {
  let kept: Buffer = Buffer.alloc(0)
  stderr?.on('data', (chunk: Buffer) => {
    kept = Buffer.concat([kept, chunk]).subarray(-MAX_WORDS_BYTES)
  })
  return () => kept.toString('utf8').trim()
}

/** Reports how much of the files was packed, 64 times in all. */
async function* reportPacking(
  chunks: AsyncIterable<Uint8Array>,
  total: number,
  report: ReportProgress,
): AsyncGenerator<Uint8Array> {
  let [done, reported] = [0, 0]
  for await (const chunk of chunks) {
    yield chunk
    done += chunk.length
    if (done - reported < total / 64) continue
    reported = done
    report({ step: 'pack', done: Math.min(done, total), total })
  }
}

function totalBytes(root: Directory): number {
  let total = 0
  for (const { node } of flatten(root)) if (node.kind === 'file') total += node.content.size
  return total
}
