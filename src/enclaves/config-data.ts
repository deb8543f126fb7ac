// The configuration that an operator gives an enclave at its start (`run-enclave --config-data`): a file,
// or a directory of files, as the bytes that are handed to the guest and measured into PCR16
// (docs/protocols.md). They are deterministic CBOR (RFC 8949 section 4.2.1): a byte string, or a map
// from names to byte strings.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { measureBytes } from '../eif/index.ts'
import { CloisterError, reasonOf } from '../errors.ts'
import { readInputFile, readStandardInput } from '../files/index.ts'

/** Contents, and the names in a directory. */
const MAX_BYTES = 64 * 1024
const MAX_FILES = 256

/** RFC 8949 section 3.1. */
const MAJOR = { bytes: 2, text: 3, map: 5 } as const

export interface ConfigData {
  /** What is handed to the guest. PCR16 is extended with its SHA-384, and locked. */
  readonly encoded: Uint8Array
  /** What PCR16 then holds, 48 bytes. */
  readonly pcr16: Uint8Array
  /** Length of all contents together. */
  readonly bytes: number
  /** Names of the files; absent where it is one file, whose name is of no account. */
  readonly names?: readonly string[]
}

/**
 * Reads a file, a directory that holds nothing but regular files, or for `-` standard input.
 *
 * @throws `ERR_CONFIG_DATA`
 */
export function readConfigData(path: string): ConfigData {
  if (path !== '-' && isDirectory(path)) return readDirectory(path)
  const options = { code: 'ERR_CONFIG_DATA', maxBytes: MAX_BYTES } as const
  const contents = path === '-' ? readStandardInput(options) : readInputFile(path, options)
  return measured(byteString(contents), contents.length)
}

/** 48 bytes: what PCR16 is extended with. */
export function configDigest(encoded: Uint8Array): Uint8Array {
  return measureBytes(encoded).digest
}

function readDirectory(path: string): ConfigData {
  const names = namesIn(path).toSorted((a, b) => a.length - b.length || Buffer.compare(a, b))
  const files = readFiles(path, names)
  const entries = names.flatMap((name, index) => [
    Buffer.concat([head(MAJOR.text, name.length), name]),
    byteString(files[index] ?? Buffer.alloc(0)),
  ])
  const encoded = Buffer.concat([head(MAJOR.map, names.length), ...entries])
  const bytes = files.reduce((sum, { length }) => sum + length, 0)
  return { ...measured(encoded, bytes), names: names.map(String) }
}

function readFiles(path: string, names: readonly Buffer[]): readonly Buffer[] {
  let room = MAX_BYTES - names.reduce((sum, { length }) => sum + length, 0)
  return names.map((name) => {
    // A link may lead to what its directory's owner alone could not read.
    const options = { code: 'ERR_CONFIG_DATA', maxBytes: MAX_BYTES, noFollow: true } as const
    const contents = readInputFile(join(path, name.toString()), options)
    room -= contents.length
    if (room < 0)
      throw refused(path, `its files and their names have more than ${String(MAX_BYTES)} bytes`)
    return contents
  })
}

/** In UTF-8 without control characters: names are shown. */
function namesIn(path: string): readonly Buffer[] {
  const names = listing(path)
  if (names.length > MAX_FILES) throw refused(path, `it has more than ${String(MAX_FILES)} files`)
  const odd = names.find((name) => {
    const text = name.toString()
    return !name.equals(Buffer.from(text)) || /\p{Cc}/u.test(text)
  })
  if (odd === undefined) return names
  const shown = JSON.stringify(odd.toString())
  throw refused(path, `the name ${shown} is not UTF-8 or has control characters`)
}

function listing(path: string): readonly Buffer[] {
  try {
    return readdirSync(path, { encoding: 'buffer' })
  } catch (cause) {
    throw refused(path, reasonOf(cause), cause)
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function measured(encoded: Buffer, bytes: number): ConfigData {
  return { encoded: new Uint8Array(encoded), pcr16: measureBytes(encoded).pcr, bytes }
}

function byteString(contents: Buffer): Buffer {
  return Buffer.concat([head(MAJOR.bytes, contents.length), contents])
}

/** The shortest head of an item; nothing here is longer than 64 KiB. */
function head(major: number, length: number): Buffer {
  const type = major << 5
  if (length < 24) return Buffer.from([type | length])
  if (length < 0x100) return Buffer.from([type | 24, length])
  if (length < 0x10000) return Buffer.from([type | 25, length >> 8, length & 0xff])
  const long = Buffer.from([type | 26, 0, 0, 0, 0])
  long.writeUInt32BE(length, 1)
  return long
}

function refused(path: string, reason: string, cause?: unknown): CloisterError {
  const message = `cannot use ${path} as configuration: ${reason}`
  return new CloisterError('ERR_CONFIG_DATA', message, { details: { path }, cause })
}
