// Strict CBOR decoding (RFC 8949) for messages from untrusted sources.

export { decodeCbor, type DecodeCborOptions } from './decode.ts'
export {
  isArray,
  isBytes,
  isMap,
  isTagged,
  type CborKey,
  type CborMap,
  type CborTagged,
  type CborValue,
} from './value.ts'
export { AttestationError } from '../errors.ts'
