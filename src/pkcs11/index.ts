// Keys on PKCS#11 tokens.

export { openToken, type Token, type TokenOptions } from './token.ts'
export { isPkcs11Uri } from './uri.ts'
