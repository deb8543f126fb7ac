// The examples of RFC 8949, Appendix F, that are not well-formed: none may decode.

import type { AttestationErrorCode } from '../../../src/index.ts'

/** What each group is refused with; `asDocument` with `indefiniteTopLevelMap`, where that differs. */
export interface IllFormed {
  readonly group: string
  readonly items: string
  readonly refused: AttestationErrorCode
  readonly asDocument?: AttestationErrorCode
}

const TRUNCATED = 'ERR_CBOR_TRUNCATED'
const UNSUPPORTED = 'ERR_CBOR_UNSUPPORTED'
const INDEFINITE = 'ERR_CBOR_INDEFINITE_LENGTH'
const DUPLICATE = 'ERR_CBOR_DUPLICATE_KEY'

export const appendixF: readonly IllFormed[] = [
  {
    group: 'end of input in a head',
    items:
      '18 19 1a 1b 1901 1a0102 1b01020304050607 38 58 78 98 9a01ff00 b8 d8',
    refused: TRUNCATED,
  },
  { group: 'end of input in a float', items: 'f8 f900 fa0000 fb000000', refused: UNSUPPORTED },
  {
    group: 'strings with too few bytes',
    items: '41 61 5affffffff00 5bffffffffffffffff010203 7affffffff00 7b7fffffffffffffff010203',
    refused: TRUNCATED,
  },
  {
    group: 'arrays and maps with too few items',
    items: '81 818181818181818181 8200 a1 a20102 a100 a2000000',
    refused: TRUNCATED,
  },
  { group: 'a tag without its item', items: 'c0', refused: UNSUPPORTED },
  { group: 'indefinite strings that do not end', items: '5f4100 7f6100', refused: INDEFINITE },
  {
    group: 'indefinite arrays that do not end',
    items: '9f 9f0102 819f 9f8000 9f9f9f9f9fffffffff 9f819f819f9fffffff',
    refused: INDEFINITE,
  },
  {
    group: 'indefinite maps that do not end',
    items: 'bf bf0102',
    refused: INDEFINITE,
    asDocument: TRUNCATED,
  },
  {
    group: 'an indefinite map that does not end and repeats a key',
    items: 'bf01020102',
    refused: INDEFINITE,
    asDocument: DUPLICATE,
  },
  {
    group: 'reserved additional information',
    items:
      '1c 1d 1e 3c 3d 3e 5c 5d 5e 7c 7d 7e 9c 9d 9e bc bd be dc dd de fc fd fe f800 f801 f818 f81f',
    refused: UNSUPPORTED,
  },
  {
    group: 'chunks of another type, or indefinite themselves',
    items:
      '5f00ff 5f21ff 5f6100ff 5f80ff 5fa0ff 5fc000ff 5fe0ff 7f4100ff 5f5f4100ffff 7f7f6100ffff',
    refused: INDEFINITE,
  },
  {
    group: 'a break where an item belongs',
    items: 'ff 81ff 8200ff a1ff00 a100ff',
    refused: UNSUPPORTED,
  },
  { group: 'a break in a map that is too short', items: 'a1ff a20000ff', refused: TRUNCATED },
  {
    group: 'a break inside an indefinite array',
    items: '9f81ff 9f829f819f9fffffffff',
    refused: INDEFINITE,
  },
  {
    group: 'a break in place of a value',
    items: 'bf00ff',
    refused: INDEFINITE,
    asDocument: UNSUPPORTED,
  },
  {
    group: 'a break in place of a value, after the same key',
    items: 'bf000000ff',
    refused: INDEFINITE,
    asDocument: DUPLICATE,
  },
  { group: 'indefinite integers and tags', items: '1f 3f df', refused: INDEFINITE },
]
