// The files of an image in a tar archive (oci-archive, docker-archive), which may be packed as a
// whole. Files are read where they lie; a packed archive is unpacked into a temporary file first.

import { posix } from 'node:path'

import { CloisterError } from '../../errors.ts'
import type { Content } from '../../eif/index.ts'
import {
  Spool,
  namingFile,
  openInputFile,
  type ByteSource,
  type InputFile,
} from '../../files/index.ts'
import type { BlobStore } from './blob-store.ts'
import { nameOfText, showName, type ByteName } from '../tree/byte-name.ts'
import { MAGIC_BYTES, compressionOf } from '../archive/compression.ts'
import { decompress } from '../archive/decompress.ts'
import { readTar, type TarEntry } from '../archive/tar.ts'
import { BLOCK_BYTES } from '../archive/tar-header.ts'
import { parsePath } from '../tree/tree.ts'
import type { UnpackBudget } from '../tree/unpack-budget.ts'

/** Older versions of `docker save` wrote a repeated layer as a link to the first. */
const MAX_LINKS = 8

/** @throws ERR_IMAGE_SOURCE_MISSING, ERR_IMAGE_TAR, ERR_IMAGE_LAYER, ERR_IMAGE_LIMIT */
export async function openImageArchive(path: string, budget: UnpackBudget): Promise<BlobStore> {
  const archive = await openInputFile(path, 'ERR_IMAGE_SOURCE_MISSING')
  const opened: AsyncDisposable[] = [archive]
  const close = async (): Promise<void> => {
    for (const resource of opened) await resource[Symbol.asyncDispose]()
  }
  try {
    const source = await unpacked(archive, budget, opened)
    const files = await indexOf(source, budget).catch((error: unknown) => {
      throw isNotAnArchive(error) ? notAnArchive(path, error) : namingFile(path, error)
    })
    return {
      open: (name) => Promise.resolve().then(() => openFile(path, files, name)),
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Whether already the first header is none. */
function isNotAnArchive(error: unknown): error is CloisterError {
  if (!(error instanceof CloisterError) || error.code !== 'ERR_IMAGE_TAR') return false
  return Number(error.details['offset']) < BLOCK_BYTES
}

function notAnArchive(path: string, { code, details, cause }: CloisterError): CloisterError {
  return new CloisterError(code, `${path} is not a tar archive`, {
    details: { ...details, path },
    hint: 'Give the file that `docker save`, `podman save` or `skopeo copy` wrote.',
    ...(cause !== undefined && { cause }),
  })
}

async function unpacked(
  archive: InputFile,
  budget: UnpackBudget,
  opened: AsyncDisposable[],
): Promise<ByteSource> {
  const source = archive.source()
  const compression = compressionOf(await source.read(0, MAGIC_BYTES))
  if (compression === 'none') return source
  const spool = await Spool.create()
  opened.push(spool)
  await decompress(archive.chunks(), compression, async (chunk) => {
    budget.takeBytes(chunk.length)
    await spool.append(chunk)
  })
  return spool.source()
}

type Index = ReadonlyMap<ByteName, Content | { readonly link: ByteName }>

async function indexOf(source: ByteSource, budget: UnpackBudget): Promise<Index> {
  const files = new Map<ByteName, Content | { readonly link: ByteName }>()
  for await (const entry of readTar(source, budget)) {
    budget.takeEntry()
    budget.takeMetadata(entry.path.length + entry.linkTarget.length)
    const path = parsePath(entry.path).join('/')
    if (entry.type === 'file') files.set(path, entry.content)
    if (entry.type === 'link' || entry.type === 'symlink') files.set(path, linkOf(path, entry))
  }
  return files
}

function linkOf(path: ByteName, { type, linkTarget }: TarEntry): { readonly link: ByteName } {
  const target = type === 'link' ? linkTarget : posix.join(posix.dirname(path), linkTarget)
  return { link: parsePath(target).join('/') }
}

function openFile(archive: string, files: Index, name: string): Content & AsyncDisposable {
  let found = files.get(parsePath(nameOfText(name)).join('/'))
  for (let links = 0; found !== undefined && 'link' in found && links < MAX_LINKS; links++) {
    found = files.get(found.link)
  }
  if (found === undefined || 'link' in found) {
    const message = `${archive} has no file ${showName(nameOfText(name))}`
    const hint = adviceOn(archive, files, name)
    throw new CloisterError('ERR_IMAGE_SOURCE_MISSING', message, {
      details: { archive, name },
      ...(hint !== undefined && { hint }),
    })
  }
  const content = found
  return {
    size: content.size,
    chunks: () => content.chunks(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** What an archive is that lacks the first file of its kind: people confuse the kinds. */
function adviceOn(archive: string, files: Index, name: string): string | undefined {
  if (name === 'oci-layout' && files.has('manifest.json'))
    return `It is an archive as docker save writes it: use docker-archive:${archive}.`
  if (name !== 'oci-layout' && name !== 'manifest.json') return undefined
  if (files.has('oci-layout'))
    return `It is an OCI layout in an archive: use oci-archive:${archive}.`
  if (files.has('repositories'))
    return 'It was written by Docker before 1.10: load it into a newer version, and save it again.'
  return 'If it is the archive of a root file system, as docker export writes it, unpack it and use dir:ROOTFS.'
}
