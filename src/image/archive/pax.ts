// The records of a pax extended header: "%d %s=%s\n", where the number counts the whole record
// (IEEE 1003.1, "pax Extended Header"). Only the keys that an image uses are kept.

import { CloisterError } from '../../errors.ts'

/** A record; the value has one character per byte. */
export type PaxRecord = readonly [key: string, value: string]

const KEYS = new Set(['path', 'linkpath', 'size', 'uid', 'gid', 'mtime'])
export const XATTR_PREFIX = 'SCHILY.xattr.'
export const SPARSE_PREFIX = 'GNU.sparse.'

/**
 * The records that matter, in order: those of GNU.sparse may repeat.
 * @throws ERR_IMAGE_TAR
 */
export function decodePaxRecords(body: Buffer): PaxRecord[] {
  const records: PaxRecord[] = []
  for (let offset = 0; offset < body.length;) {
    // GNU tar pads a header that it shortened with NUL bytes.
    if (body[offset] === 0) break
    const space = body.indexOf(0x20, offset)
    const digits = body.toString('latin1', offset, Math.min(Math.max(space, offset), offset + 9))
    if (!/^[1-9]\d{0,7}$/.test(digits)) throw malformed()
    const end = offset + Number(digits)
    if (end > body.length || end <= space + 1 || body[end - 1] !== 0x0a) throw malformed()
    const record = body.subarray(space + 1, end - 1)
    const equals = record.indexOf(0x3d)
    if (equals < 1) throw malformed()
    const key = record.toString('latin1', 0, equals)
    if (isKept(key)) records.push([key, record.toString('latin1', equals + 1)])
    offset = end
  }
  return records
}

function isKept(key: string): boolean {
  return KEYS.has(key) || key.startsWith(XATTR_PREFIX) || key.startsWith(SPARSE_PREFIX)
}

function malformed(): CloisterError {
  return new CloisterError('ERR_IMAGE_TAR', 'a pax header is malformed')
}
