// An attestation document as people keep one: CBOR as the app got it, or as text. A document begins
// with 84 (an array of four) or d2 (tag 18), and no text form of one reads as another, so the forms
// are told apart by what they decode to.

import { decodePemBlocks } from '@cloister/attestation/x509'
import { CloisterError, messageOf } from '../errors.ts'
import { readFileArgument } from './arguments.ts'

export const DOCUMENT_FORMATS = ['auto', 'cbor', 'base64', 'base64url', 'hex', 'pem'] as const
export type DocumentFormat = (typeof DOCUMENT_FORMATS)[number]

/** The verifier's 32768 bytes as hexadecimal, with line ends and PEM around it. */
const MAX_DOCUMENT_FILE_BYTES = 128 * 1024
const FIRST_BYTES: readonly (number | undefined)[] = [0x84, 0xd2]
const FLAG = '--document'

/**
 * The bytes of the document in a file, or on standard input (`-`).
 * @throws ERR_FILE_INPUT when the file cannot be read, ERR_CLI_ARGUMENT when it has not the format
 */
export function readDocument(path: string, format: DocumentFormat): Uint8Array {
  const bytes = readFileArgument(FLAG, path, MAX_DOCUMENT_FILE_BYTES)
  return format === 'auto' ? detect(bytes) : decodeAs(format, bytes)
}

/** Bytes that are neither text nor known for something else are left to the verifier. */
function detect(bytes: Uint8Array): Uint8Array {
  const text = FIRST_BYTES.includes(bytes[0]) ? undefined : asciiOf(bytes)
  if (text === undefined) {
    const other = binaryName(bytes)
    if (other !== undefined) throw notADocument(other)
    return bytes
  }
  if (text.includes('-----BEGIN ')) return fromPem(text)
  const found = [fromHex(text), fromBase64(text)].find((one) => FIRST_BYTES.includes(one?.[0]))
  if (found === undefined) throw notADocument(textName(text))
  return found
}

function decodeAs(format: Exclude<DocumentFormat, 'auto'>, bytes: Uint8Array): Uint8Array {
  if (format === 'cbor') return bytes
  const text = asciiOf(bytes)
  if (text === undefined) throw notADocument(`binary data, not ${format}`)
  if (format === 'pem') return fromPem(text)
  const decoded = format === 'hex' ? fromHex(text) : fromBase64(text)
  if (decoded === undefined) throw notADocument(`not ${format}`)
  return decoded
}

/** Text without the byte order mark that some editors write; undefined when it is not ASCII. */
function asciiOf(bytes: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(bytes)
  return /^[\t\n\r\x20-\x7e]*$/.test(text) ? text : undefined
}

function fromPem(text: string): Uint8Array {
  try {
    const [block, ...others] = decodePemBlocks(text)
    if (block === undefined) throw notADocument('not PEM')
    if (others.length > 0) throw notADocument('PEM with several blocks')
    if (!FIRST_BYTES.includes(block.bytes[0])) throw notADocument(`a PEM ${block.label}`)
    return block.bytes
  } catch (cause) {
    if (cause instanceof CloisterError) throw cause
    throw notADocument(`malformed PEM: ${messageOf(cause)}`, cause)
  }
}

function fromHex(text: string): Uint8Array | undefined {
  const digits = text.replace(/\s/g, '').replace(/^0x/i, '')
  return /^([0-9a-fA-F]{2})+$/.test(digits) ? Buffer.from(digits, 'hex') : undefined
}

/** Either alphabet, padded or not. */
function fromBase64(text: string): Uint8Array | undefined {
  const digits = text.replace(/\s/g, '')
  const isBase64 = /^[A-Za-z0-9+/_-]+={0,2}$/.test(digits)
  if (!isBase64 || digits.replace(/=+$/, '').length % 4 === 1) return undefined
  return Buffer.from(digits, 'base64')
}

function textName(text: string): string {
  const start = text.trimStart()
  if (start === '') return 'empty'
  if (/^[{["]/.test(start)) return 'JSON'
  const isEncoded = fromHex(text) !== undefined || fromBase64(text) !== undefined
  return isEncoded ? 'the text form of something else' : 'text, but not base64, hexadecimal or PEM'
}

/** What else begins with these bytes, as far as it is likely to be given by mistake. */
function binaryName(bytes: Uint8Array): string | undefined {
  const begins = (...prefix: readonly number[]) => prefix.every((byte, i) => bytes[i] === byte)
  if (begins(0x30, 0x82) || begins(0x30, 0x81)) return 'DER, such as a certificate or a key'
  if (begins(0x2e, 0x65, 0x69, 0x66)) return 'an enclave image'
  if (begins(0xff, 0xfe) || begins(0xfe, 0xff)) return 'UTF-16 text'
  return undefined
}

function notADocument(what: string, cause?: unknown): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', `${FLAG}: not an attestation document: ${what}`, {
    hint: 'Give the COSE_Sign1 as the app got it, or as base64, base64url, hexadecimal or PEM; --format forces one of them.',
    cause,
  })
}
