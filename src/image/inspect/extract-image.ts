// Takes an image apart into files: each section as it is in the image, the compressed root file system, and
// the signing certificate. The directory appears when the whole image was read and found valid, or not at
// all.

import { X509Certificate, randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, rmdirSync } from 'node:fs'
import { open, rename, writeFile, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'

import { readEif, type Eif, type EifSection } from '../../eif/index.ts'
import { CloisterError, reasonOf } from '../../errors.ts'
import { Leftover, openInputFile, type ByteSource } from '../../files/index.ts'
import { SQUASHFS_MEMBER } from '../ramdisk/ramdisks.ts'
import { RootImage } from './root-image.ts'

/** The image that was read, and the files that were written. */
export interface ExtractedImage {
  readonly eif: Eif
  /** Names in the directory. */
  readonly files: readonly string[]
}

/**
 * Writes `kernel`, `cmdline`, `metadata.json`, `ramdisk0`, `ramdisk1`, ..., `rootfs.squashfs` if a ramdisk
 * has it, and, of a signed image, `signature.cbor` and `signing-certificate.pem`.
 * @param directory - New, or empty.
 * @throws ERR_EIF_*, ERR_FILE_OUTPUT
 */
export async function extractImage(path: string, directory: string): Promise<ExtractedImage> {
  await using file = await openInputFile(path, 'ERR_EIF_UNREADABLE')
  const target = resolve(directory)
  const stage = join(dirname(target), `.${basename(target)}.${randomUUID()}`)
  using leftover = new Leftover(stage, 'directory')
  await orFail(
    target,
    new Promise<void>((fulfil) => {
      mkdirSync(stage)
      leftover.made()
      fulfil()
    }),
  )
  const eif = await readInto(stage, target, file.source())
  const files = await orFail(target, nameFiles(stage, eif))
  await orFail(target, place(stage, target))
  leftover.moved()
  return { eif, files }
}

/** Each section goes into a file that is named by its offset. */
async function readInto(stage: string, target: string, source: ByteSource): Promise<Eif> {
  let current: { readonly section: EifSection; readonly handle: FileHandle } | undefined
  const root = new RootImage()
  let rootHandle: FileHandle | undefined
  const write = async (section: EifSection, chunk: Uint8Array): Promise<void> => {
    if (current?.section !== section) {
      await current?.handle.close()
      current = { section, handle: await open(join(stage, String(section.offset)), 'wx') }
    }
    await current.handle.writeFile(chunk)
    for (const part of root.push(section, chunk)) {
      rootHandle ??= await open(join(stage, SQUASHFS_MEMBER), 'wx')
      await rootHandle.writeFile(part)
    }
  }
  try {
    return await readEif(source, (section, chunk) => orFail(target, write(section, chunk)))
  } finally {
    await current?.handle.close()
    await rootHandle?.close()
  }
}

async function nameFiles(stage: string, { sections, signingCertificate }: Eif): Promise<string[]> {
  const names: string[] = []
  let ramdisks = 0
  for (const { type, offset, size } of sections) {
    const name = type === 'ramdisk' ? `ramdisk${String(ramdisks++)}` : (NAMES[type] ?? type)
    if (size === 0) await writeFile(join(stage, name), '')
    else await rename(join(stage, String(offset)), join(stage, name))
    names.push(name)
  }
  if (existsSync(join(stage, SQUASHFS_MEMBER))) names.push(SQUASHFS_MEMBER)
  if (signingCertificate !== undefined) {
    const pem = new X509Certificate(signingCertificate.der).toString()
    await writeFile(join(stage, CERTIFICATE), pem)
    names.push(CERTIFICATE)
  }
  return names
}

const CERTIFICATE = 'signing-certificate.pem'
const NAMES: Readonly<Record<string, string>> = {
  metadata: 'metadata.json',
  signature: 'signature.cbor',
}

async function place(stage: string, target: string): Promise<void> {
  try {
    rmdirSync(target)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  await rename(stage, target)
}

async function orFail<T>(path: string, operation: Promise<T>): Promise<T> {
  return operation.catch((cause: unknown) => {
    if (cause instanceof CloisterError) throw cause
    const [reason, hint] = REASONS[(cause as NodeJS.ErrnoException).code ?? ''] ?? []
    throw new CloisterError(
      'ERR_FILE_OUTPUT',
      `cannot write ${path}: ${reason ?? reasonOf(cause)}`,
      {
        details: { path },
        ...(reason === undefined && { cause }),
        hint: hint ?? 'Give --output-dir a new or empty directory, in one that you may write to.',
      },
    )
  })
}

const NOT_EMPTY = [
  'the directory is not empty',
  'Give --output-dir a new or empty directory.',
] as const
/** rmdir(2) and rename(2) have two words for it. */
const REASONS: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  ENOTEMPTY: NOT_EMPTY,
  EEXIST: NOT_EMPTY,
  ENOTDIR: ['it is not a directory', 'Give --output-dir a new or empty directory.'],
  ENOENT: ['the directory above it does not exist', 'Create that directory first.'],
}
