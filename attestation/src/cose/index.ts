// COSE_Sign1 with ES384 (RFC 9052, RFC 9053): decode, then verify over the received bytes.

export {
  decodeSign1,
  sigStructure,
  verifySign1,
  type DecodeSign1Options,
  type Sign1,
} from './sign1.ts'
export type { WebCrypto, WebCryptoSubtle } from '../signature/webcrypto.ts'
export { AttestationError } from '../errors.ts'
