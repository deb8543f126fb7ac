// Responses that Cloister's broker signs, where the way to it cannot be trusted. A request asks with a nonce; the
// signature (ECDSA on P-384 with SHA-384) covers the nonce, the request and the response. See docs/kms.md.

import { createHash, createPublicKey, randomBytes, verify, type KeyObject } from 'node:crypto'
import { KmsClientError } from './errors.ts'

const FORM = 'CLOISTER-KMS-RESPONSE-V1'
export const NONCE_HEADER = 'x-cloister-response-nonce'
const SIGNATURE_HEADER = 'x-cloister-response-signature'
const NONCE_BYTES = 32
const SIGNATURE_BYTES = 96

type Headers = Readonly<Record<string, string>>

export interface HttpExchange {
  /** Of the request, names in lower case. */
  readonly asked: Headers
  readonly requestBody: Uint8Array
  readonly status: number
  /** Of the response, names in lower case. */
  readonly headers: Headers
  readonly body: Uint8Array
}

/** The broker's public key, which the program has from elsewhere than the broker's responses. */
export class ResponseKey {
  readonly #key: KeyObject

  /**
   * @param pem - A SubjectPublicKeyInfo of P-384.
   * @throws KmsClientError ERR_KMS_CLIENT_RESPONSE_KEY
   */
  constructor(pem: string) {
    this.#key = publicKeyOf(pem)
    const { asymmetricKeyDetails: details } = this.#key
    if (details?.namedCurve !== 'secp384r1') throw wrongKey()
  }

  /**
   * Checks, in order: the signature's form; that it covers this nonce, request and response.
   * @throws KmsClientError ERR_KMS_CLIENT_SIGNATURE
   */
  check({ asked, requestBody, status, headers, body }: HttpExchange): void {
    const text = headers[SIGNATURE_HEADER]
    if (text === undefined)
      throw unsigned(
        `the response (status ${String(status)}) is not signed: not the broker's, or the broker does not know the access key`,
      )
    const signature = Buffer.from(text, 'base64')
    const request = [asked[NONCE_HEADER], asked['x-amz-target'], sha384(requestBody)]
    const response = [String(status), headers['date'], headers['x-amzn-requestid'], sha384(body)]
    const signed = [FORM, ...request, ...response].map((line) => `${line ?? ''}\n`).join('')
    const key = { key: this.#key, dsaEncoding: 'ieee-p1363' } as const
    const isRight =
      signature.length === SIGNATURE_BYTES && verify('sha384', Buffer.from(signed), key, signature)
    if (!isRight) throw unsigned('the signature is not of this response to this request')
  }
}

export function newNonce(): string {
  return randomBytes(NONCE_BYTES).toString('hex')
}

function publicKeyOf(pem: string): KeyObject {
  // A private key in PEM would be accepted here, too.
  if (!pem.includes('-----BEGIN PUBLIC KEY-----')) throw wrongKey()
  try {
    return createPublicKey(pem)
  } catch (cause) {
    throw wrongKey(cause)
  }
}

function wrongKey(cause?: unknown): KmsClientError {
  const message = 'the response key is not the PEM of a public key on P-384'
  return new KmsClientError('ERR_KMS_CLIENT_RESPONSE_KEY', message, { cause })
}

function unsigned(reason: string): KmsClientError {
  return new KmsClientError('ERR_KMS_CLIENT_SIGNATURE', reason)
}

function sha384(bytes: Uint8Array): string {
  return createHash('sha384').update(bytes).digest('hex')
}
