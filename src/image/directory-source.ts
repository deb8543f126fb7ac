// A root file system in a directory of the host. Only what a checkout or a copy keeps is taken:
// names, contents, symbolic links, and whether the owner may execute a file. Owner, umask, times
// and hard links of the host do not reach the image, so that it measures alike wherever it is built.

import type { Dirent } from 'node:fs'
import { lstat, readdir, readlink, stat } from 'node:fs/promises'

import { CloisterError, check } from '../errors.ts'
import type { Content } from '../eif/index.ts'
import { openInputFile } from '../files/index.ts'
import { directory, file, parsePath, type Directory, type TreeNode } from './tree.ts'
import { UnpackBudget } from './unpack-budget.ts'

const OWNER_EXECUTE = 0o100

/**
 * Scans a directory; file contents are read later, when the image is written.
 * @throws ERR_IMAGE_SOURCE_MISSING, ERR_IMAGE_ENTRY, ERR_IMAGE_PATH, ERR_IMAGE_LIMIT
 */
export async function readDirectorySource(
  path: string,
  budget = new UnpackBudget(),
): Promise<Directory> {
  const status = await orMissing(path, stat(path))
  check(status.isDirectory(), 'ERR_IMAGE_SOURCE_MISSING', `${path} is not a directory`, {
    details: { path },
  })
  return scan(path, '', budget)
}

async function scan(host: string, inside: string, budget: UnpackBudget): Promise<Directory> {
  const result = directory()
  const options = { withFileTypes: true, encoding: 'buffer' } as const
  const entries = await orMissing(host, readdir(host, options))
  for (const entry of entries) {
    const name = decodeName(entry, host)
    const path = inside === '' ? name : `${inside}/${name}`
    parsePath(path)
    result.entries.set(name, await readNode(`${host}/${name}`, path, budget))
  }
  return result
}

async function readNode(host: string, inside: string, budget: UnpackBudget): Promise<TreeNode> {
  budget.takeEntry()
  const status = await orMissing(host, lstat(host))
  if (status.isDirectory()) return scan(host, inside, budget)
  if (status.isSymbolicLink()) {
    const attributes = { mode: 0o777, uid: 0, gid: 0 }
    return { kind: 'symlink', attributes, target: await orMissing(host, readlink(host)) }
  }
  check(status.isFile(), 'ERR_IMAGE_ENTRY', `${host} is a device, socket or pipe`, {
    details: { path: host },
  })
  budget.takeBytes(status.size)
  return file(fileContent(host, status.size), status.mode & OWNER_EXECUTE ? 0o755 : 0o644)
}

/** The contents of a file of the host, which must still have `size` bytes when it is read. */
export function fileContent(path: string, size: number): Content {
  return {
    size,
    async *chunks() {
      await using input = await openInputFile(path, 'ERR_IMAGE_SOURCE_MISSING', { noFollow: true })
      const now = input.size
      check(now === size, 'ERR_IMAGE_SOURCE_CHANGED', `${path} changed while it was read`, {
        details: { path, expected: size, actual: now },
      })
      yield* input.chunks()
    },
  }
}

async function orMissing<T>(path: string, operation: Promise<T>): Promise<T> {
  return operation.catch((cause: unknown) => {
    throw new CloisterError('ERR_IMAGE_SOURCE_MISSING', `cannot read ${path}`, {
      details: { path },
      cause,
    })
  })
}

function decodeName(entry: Dirent<Buffer>, host: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(entry.name)
  } catch (cause) {
    const name = entry.name.toString('latin1')
    throw new CloisterError('ERR_IMAGE_PATH', `a name in ${host} is not UTF-8`, {
      details: { directory: host, name },
      cause,
    })
  }
}
