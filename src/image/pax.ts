// The records of a pax extended header: "%d %s=%s\n", where the number counts the whole record
// (IEEE 1003.1, "pax Extended Header").

import { CloisterError } from '../errors.ts'

/** @throws ERR_IMAGE_TAR */
export function decodePaxRecords(body: Buffer): Map<string, string> {
  const records = new Map<string, string>()
  for (let offset = 0; offset < body.length;) {
    const space = body.indexOf(0x20, offset)
    const digits = body.toString('latin1', offset, Math.max(space, offset))
    if (!/^[1-9]\d{0,7}$/.test(digits)) throw malformed()
    const end = offset + Number(digits)
    if (end > body.length || end <= space + 1 || body[end - 1] !== 0x0a) throw malformed()
    const [key, value] = split(body.subarray(space + 1, end - 1))
    records.set(key, value)
    offset = end
  }
  return records
}

/** Values of unknown keys (extended attributes) may be binary; they are never looked at. */
function split(record: Buffer): [string, string] {
  const equals = record.indexOf(0x3d)
  if (equals < 1) throw malformed()
  const key = record.toString('latin1', 0, equals)
  const value = record.subarray(equals + 1)
  if (!['path', 'linkpath'].includes(key)) return [key, value.toString('latin1')]
  try {
    return [key, new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value)]
  } catch (cause) {
    throw new CloisterError('ERR_IMAGE_TAR', 'a name is not UTF-8', { cause })
  }
}

function malformed(): CloisterError {
  return new CloisterError('ERR_IMAGE_TAR', 'a pax header is malformed')
}
