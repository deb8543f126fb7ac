// Whether the program of an image can start at all: it, a script's interpreter and a dynamic program's
// loader must be in the image. The agent looks again in the guest (enclave-images/agent/src/program.rs);
// here a person hears of it before anything is run.

import { CloisterError } from '../../errors.ts'
import type { Content } from '../../eif/index.ts'
import { findTarget } from '../tree/follow-path.ts'
import { nameOfText, showName, type ByteName } from '../tree/byte-name.ts'
import type { Directory, RegularFile, TreeNode } from '../tree/tree.ts'
import { UnpackBudget } from '../tree/unpack-budget.ts'
import type { RunConfig } from './run-config.ts'

/** As deep as Linux follows scripts whose interpreter is a script. */
const MAX_INTERPRETERS = 5
/** As much of a `#!` line as Linux reads. */
const SCRIPT_HEAD_BYTES = 256
/** Linkers put the loader's name right behind the headers; a name elsewhere is not looked for. */
const HEAD_BYTES = 64 * 1024
const MAX_PROGRAM_HEADERS = 128
const PT_INTERP = 3
/** What the agent mounts hides what the image has there. */
const MOUNTED = /^\/+(proc|sys|dev)\//
const EXECUTE = 0o111

/**
 * What keeps the image's program from starting, in words for a person; undefined when nothing that can
 * be seen does. Reads no more than the heads of the programs.
 * @throws ERR_IMAGE_SOURCE_CHANGED
 */
export async function whyNoEntry(root: Directory, config: RunConfig): Promise<string | undefined> {
  try {
    return await problemOf(root, config)
  } catch (error) {
    // The kernel stops at the root where a link climbs above it; the tree does not follow such a link.
    if (error instanceof CloisterError && error.code === 'ERR_IMAGE_PATH') return undefined
    throw error
  }
}

async function problemOf(root: Directory, config: RunConfig): Promise<string | undefined> {
  const [program = ''] = [...config.entrypoint, ...config.cmd]
  const places = candidates(nameOfText(program), config)
  let path = places.find((it) => MOUNTED.test(it) || find(root, it) !== undefined)
  if (path === undefined) return `${program} is not in the image`
  if (MOUNTED.test(path)) return undefined
  for (let depth = 0; depth < MAX_INTERPRETERS; depth++) {
    const node = find(root, path)
    if (node?.kind !== 'file') return `${showName(path)} is not a regular file`
    if ((node.attributes.mode & EXECUTE) === 0)
      return `${showName(path)} is not executable (its mode has no x)`
    const interpreter = await interpreterOf(node)
    if (interpreter === undefined) return undefined
    const needed = absolute(interpreter, config)
    if (find(root, needed) === undefined)
      return `${showName(path)} needs ${showName(needed)}, which is not in the image`
    path = needed
  }
  return undefined
}

/** Where execvp looks: a name without a slash is looked for in PATH. */
function candidates(program: ByteName, config: RunConfig): readonly ByteName[] {
  if (program.includes('/')) return [absolute(program, config)]
  const variable = config.env.findLast((item) => item.startsWith('PATH=')) ?? 'PATH='
  return nameOfText(variable.slice('PATH='.length))
    .split(':')
    .map((directory) => absolute(`${directory}/${program}`, config))
}

function absolute(path: ByteName, { workdir }: RunConfig): ByteName {
  return path.startsWith('/') ? path : `${nameOfText(workdir)}/${path}`
}

function find(root: Directory, path: ByteName): TreeNode | undefined {
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  return findTarget(root, names, new UnpackBudget())
}

/** A script's interpreter, or an ELF program's loader; undefined when there is none, or it lies too deep. */
async function interpreterOf({ content }: RegularFile): Promise<ByteName | undefined> {
  const head = await readHead(content)
  if (head.subarray(0, 2).toString('latin1') !== '#!') return loaderOf(head)
  const [line = ''] = head.subarray(2, SCRIPT_HEAD_BYTES).toString('latin1').split('\n')
  return line.split(/[ \t\0]/).find((word) => word !== '')
}

/** The path in the PT_INTERP header of a 64-bit little-endian ELF file. */
function loaderOf(head: Buffer): ByteName | undefined {
  if (head.length < 64 || head.subarray(0, 6).toString('latin1') !== '\x7fELF\x02\x01')
    return undefined
  const table = Number(head.readBigUInt64LE(32))
  const [size, count] = [
    head.readUInt16LE(54),
    Math.min(head.readUInt16LE(56), MAX_PROGRAM_HEADERS),
  ]
  for (let index = 0; index < count; index++) {
    const header = head.subarray(table + index * size, table + (index + 1) * size)
    if (header.length < 56 || header.readUInt32LE(0) !== PT_INTERP) continue
    const [start, length] = [Number(header.readBigUInt64LE(8)), Number(header.readBigUInt64LE(32))]
    const [path = ''] = head
      .subarray(start, start + length)
      .toString('latin1')
      .split('\0')
    return path === '' ? undefined : path
  }
  return undefined
}

/** The first bytes of a file. */
async function readHead(content: Content): Promise<Buffer> {
  let head = Buffer.alloc(0)
  for await (const chunk of content.chunks()) {
    head = Buffer.concat([head, chunk.subarray(0, HEAD_BYTES)])
    if (head.length >= HEAD_BYTES) break
  }
  return head.subarray(0, HEAD_BYTES)
}
