// Writes DER for tests (ITU-T X.690).

import { concatBytes, fromHex } from '../../src/bytes.ts'

/** One element: tag, shortest length, contents. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const body = concatBytes(...contents)
  const { length } = body
  if (length < 0x80) return concatBytes(Uint8Array.of(tag, length), body)
  if (length < 0x100) return concatBytes(Uint8Array.of(tag, 0x81, length), body)
  return concatBytes(Uint8Array.of(tag, 0x82, length >> 8, length), body)
}

export const sequence = (...contents: readonly Uint8Array[]) => der(0x30, ...contents)
export const oid = (hex: string) => der(0x06, fromHex(hex))
export const octets = (contents: Uint8Array) => der(0x04, contents)
export const bits = (contents: Uint8Array, unused = 0) =>
  der(0x03, concatBytes(Uint8Array.of(unused), contents))
export const boolean = (value: boolean) => der(0x01, Uint8Array.of(value ? 0xff : 0x00))

/** A positive INTEGER of big-endian bytes. */
export function integer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const first = bytes.findIndex((byte) => byte !== 0)
  const significant = bytes.subarray(first === -1 ? bytes.length - 1 : first)
  const padded = (significant[0] ?? 0) >= 0x80 ? [Uint8Array.of(0)] : []
  return der(0x02, ...padded, significant)
}

/** A Time: UTCTime up to 2049, GeneralizedTime from 2050. */
export function time(timeMs: number): Uint8Array<ArrayBuffer> {
  const digits = new Date(timeMs).toISOString().replace(/[-:T]|\.\d+/g, '')
  const general = new Date(timeMs).getUTCFullYear() >= 2050
  const text = general ? digits : digits.slice(2)
  return der(general ? 0x18 : 0x17, new TextEncoder().encode(text))
}

/** A Name with one UTF8String per attribute, e.g. `{ CN: 'x', OU: 'y' }`. */
export function name(attributes: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const types: Readonly<Record<string, string>> = { CN: '550403', O: '55040a', OU: '55040b' }
  const rdns = Object.entries(attributes).map(([type, value]) =>
    der(0x31, sequence(oid(types[type] ?? type), der(0x0c, new TextEncoder().encode(value)))),
  )
  return sequence(...rdns)
}
