// Lists in pages: `Limit` and `Marker` in the request, `Truncated` and `NextMarker` in the answer. A marker
// is the last name of the page before, in base64.

import type { Fields } from '../fields.ts'
import { KmsError } from '../kms-error.ts'
import type { Answer } from './call.ts'

/** Which part of a list a request asks for. */
export interface Page {
  readonly limit: number
  /** The name that the page follows; empty for the first. */
  readonly after: string
}

/**
 * Reads `Limit` (1 to `most`, or else `usual`) and `Marker`.
 *
 * @throws KmsError `InvalidMarkerException`, `ValidationException`, `SerializationException`
 */
export function readPage(
  fields: Fields,
  { most, usual }: { readonly most: number; readonly usual: number },
): Page {
  const limit = fields.integer('Limit', 1, most) ?? usual
  const marker = fields.text('Marker', 1024)
  if (marker === undefined) return { limit, after: '' }
  const after = Buffer.from(marker, 'base64').toString('utf8')
  if (Buffer.from(after).toString('base64') !== marker || after.includes('\0'))
    throw new KmsError('InvalidMarkerException', 'Could not deserialize the marker')
  return { limit, after }
}

/** A page of what was found, which has one more than the page when there is another. */
export function pageOf<T>(
  field: string,
  found: readonly T[],
  {
    page,
    entryOf,
    nameOf,
  }: { readonly page: Page; entryOf: (one: T) => unknown; nameOf: (one: T) => string },
): Answer {
  const shown = found.slice(0, page.limit)
  const last = shown.at(-1)
  const isTruncated = found.length > shown.length && last !== undefined
  return {
    [field]: shown.map(entryOf),
    Truncated: isTruncated,
    ...(isTruncated ? { NextMarker: Buffer.from(nameOf(last)).toString('base64') } : {}),
  }
}
