// JSON from outside in which every key counts: of two equal keys JSON.parse keeps the last, and another
// reader of the same policy or request may keep the first.

import { repeatedKey } from '@cloister/attestation/policy'
import { parseBoundedJson, DOCUMENT_BOUNDS } from '../bounded-json.ts'
import { check, type ErrorCode } from '../errors.ts'

/**
 * The value of a UTF-8 JSON text without repeated keys, within the bounds of documents.
 * @throws the given code
 */
export function parseStrictJson(bytes: Uint8Array, code: ErrorCode, name: string): unknown {
  const value = parseBoundedJson(bytes, { code, name, ...DOCUMENT_BOUNDS })
  const repeated = repeatedKey(new TextDecoder().decode(bytes))
  check(repeated === undefined, code, `${name} has the key ${String(repeated)} twice`)
  return value
}
