// Extended attributes of a directory's files, file capabilities among them. Node cannot read them, so the
// program cloister-squashfs does (enclave-images/squashfs/src/attributes.rs).

import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process'
import type { Readable } from 'node:stream'

import { CloisterError, check, reasonOf } from '../../errors.ts'
import { PROGRAM_PATH } from '../../subprocess/index.ts'
import { findSquashfsWriter } from '../find-squashfs-writer.ts'
import type { ByteName } from '../tree/byte-name.ts'
import type { Directory, TreeNode } from '../tree/tree.ts'
import type { UnpackBudget } from '../tree/unpack-budget.ts'
import type { HeldDirectory } from './held-directory.ts'

const CODE = 'ERR_IMAGE_SOURCE_MISSING'
/** Path, name and value in hexadecimal, of at most 4095, 255 and 65,536 bytes. */
const MAX_LINE = 2 * (4096 + 256 + 65_536) + 3
/** What is kept of the program's last words. */
const MAX_WORDS = 2048

/**
 * Adds to the tree the attributes that its files have in the directory it was scanned from.
 * @throws ERR_IMAGE_TOOL_MISSING, ERR_IMAGE_SOURCE_MISSING, ERR_IMAGE_LIMIT
 */
export async function readAttributes(
  top: HeldDirectory,
  root: Directory,
  budget: UnpackBudget,
): Promise<void> {
  const child = spawn(
    'setpriv',
    ['--pdeathsig=KILL', '--no-new-privs', '--', findSquashfsWriter(), 'attributes'],
    { stdio: [top.fd, 'pipe', 'pipe'], env: { PATH: PROGRAM_PATH, LC_ALL: 'C' } },
  ) as ChildProcessByStdio<null, Readable, Readable>
  const ended = endOf(child)
  let words = ''
  child.stderr.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-MAX_WORDS)
  })
  try {
    for await (const line of linesOf(child.stdout)) addAttribute(root, line, budget)
  } finally {
    // It has closed its output, or is not needed any more.
    if (!child.stdout.readableEnded) child.kill('SIGKILL')
  }
  const status = await ended
  if (status !== 0) throw failed(words.trim() || String(status))
}

function endOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => {
    child.once('error', (cause) => {
      resolve(`it cannot be started: ${reasonOf(cause)}`)
    })
    child.once('close', (code, signal) => {
      resolve(code ?? signal ?? 'unknown')
    })
  })
}

function addAttribute(root: Directory, line: string, budget: UnpackBudget): void {
  const fields = /^((?:[0-9a-f]{2})+) ((?:[0-9a-f]{2})+) ((?:[0-9a-f]{2})*)$/.exec(line)
  if (fields === null) throw failed('a line of its output is malformed')
  const [path, name, value] = fields.slice(1).map((field) => Buffer.from(field, 'hex'))
  if (path === undefined || name === undefined || value === undefined) return
  budget.takeMetadata(name.length + value.length)
  const node = find(root, path.toString('latin1'))
  // What has appeared since the scan is not in the tree.
  if (node === undefined) return
  const xattrs = new Map(node.attributes.xattrs).set(name.toString('latin1'), value)
  node.attributes = { ...node.attributes, xattrs }
}

function find(root: Directory, path: ByteName): TreeNode | undefined {
  if (path === '.') return root
  let node: TreeNode | undefined = root
  for (const name of path.split('/')) {
    node = node?.kind === 'directory' ? node.entries.get(name) : undefined
  }
  return node
}

async function* linesOf(stream: Readable): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of stream.setEncoding('latin1') as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    check(rest.length <= MAX_LINE, CODE, 'cannot read extended attributes: a line is too long')
    yield* lines
  }
  if (rest !== '') throw failed('its output was cut short')
}

function failed(reason: string): CloisterError {
  return new CloisterError(CODE, `cannot read extended attributes: ${reason}`, {
    hint: 'Check that every file of the directory can be read, or build with --root cpio, which has no attributes.',
  })
}
