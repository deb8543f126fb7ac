// Byte strings: joining, comparing, hexadecimal text. The little that Buffer is used for elsewhere.

const DIGITS = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0))
/** Engines limit how many arguments a call may have. */
const CHUNK = 1024

/** Lower-case hexadecimal text of bytes, or of those from `start` up to `end`: two digits each. */
export function toHex(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  const codes = new Array<number>(2 * (end - start))
  for (let i = start, at = 0; i < end; i++) {
    const byte = bytes[i] ?? 0
    codes[at++] = DIGITS[byte >> 4] ?? 0
    codes[at++] = DIGITS[byte & 15] ?? 0
  }
  return fromCodes(codes)
}

/** Text of ASCII codes, in large pieces: a text that grows by characters is mostly garbage. */
function fromCodes(codes: readonly number[]): string {
  if (codes.length <= CHUNK) return String.fromCharCode(...codes)
  let text = ''
  for (let i = 0; i < codes.length; i += CHUNK) {
    text += String.fromCharCode(...codes.slice(i, i + CHUNK))
  }
  return text
}

/**
 * Bytes of hexadecimal text, either case.
 * @throws RangeError when the text is not pairs of hexadecimal digits.
 */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) throw new RangeError('not pairs of hexadecimal digits')
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

/** One byte string after the other. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}

/** Whether two byte strings are the same. Not constant-time: nothing compared here is secret. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Whether every byte is zero. */
export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}

const MAX_ASCII_LOOP = 64
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Text of UTF-8 bytes. Short ASCII, which is nearly all there is, needs no decoder.
 * @throws TypeError when the bytes are not valid UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array): string {
  if (bytes.length > MAX_ASCII_LOOP) return utf8.decode(bytes)
  const codes = new Array<number>(bytes.length)
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0
    if (byte >= 0x80) return utf8.decode(bytes)
    codes[i] = byte
  }
  return fromCodes(codes)
}
