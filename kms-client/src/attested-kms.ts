// A plugin of AWS's SDK: requests of the five operations that answer to a document get one, with a fresh key, and
// the plain field of the response is filled as if there had been none. Each attempt has a document of its own: one that
// is tried again later may be too old, or its nonce used.

import type { KMSClient } from '@aws-sdk/client-kms'
import { NONCE_REQUEST, nonceOf, readNonces } from './broker-nonces.ts'
import { KmsClientError } from './errors.ts'
import { addBeforeSigning, fieldsOf, withFields, type HttpRequest } from './http-messages.ts'
import { RecipientKey } from './recipient-key.ts'
import { ResponseKey } from './response-key.ts'
import { CONTENT_HEADERS, requireSignedResponses } from './signed-responses.ts'

/**
 * Obtains an attestation document with this `public_key`, DER SubjectPublicKeyInfo, and with this `nonce`, which is
 * given with the option `brokerNonces` only.
 */
export type Attest = (publicKey: Uint8Array, nonce?: Uint8Array) => Promise<Uint8Array>

export interface AttestedKmsOptions {
  /**
   * The public key in PEM with which Cloister's broker signs responses. With it, every response must be signed, and
   * `CiphertextForRecipient` must be AuthEnvelopedData. AWS KMS does neither.
   */
  readonly responseKey?: string
  /** Whether to get a nonce from Cloister's broker for every document. AWS KMS has none. */
  readonly brokerNonces?: boolean
}

/** The field that a client without a document reads. */
const PLAIN_FIELDS: Readonly<Record<string, string>> = {
  DecryptCommand: 'Plaintext',
  GenerateDataKeyCommand: 'Plaintext',
  GenerateDataKeyPairCommand: 'PrivateKeyPlaintext',
  GenerateRandomCommand: 'Plaintext',
  DeriveSharedSecretCommand: 'SharedSecret',
}

type Plugin = Parameters<KMSClient['middlewareStack']['use']>[0]
type Output = Record<string, unknown>

/**
 * `client.middlewareStack.use(attestedKms(attest))`. Requests that have a `Recipient` already are not changed.
 * @throws KmsClientError ERR_KMS_CLIENT_RESPONSE_KEY. In a request: ERR_KMS_CLIENT_DOCUMENT,
 * ERR_KMS_CLIENT_NOT_ATTESTED, ERR_KMS_CLIENT_CMS, ERR_KMS_CLIENT_SIGNATURE.
 */
export function attestedKms(
  attest: Attest,
  { responseKey, brokerNonces = false }: AttestedKmsOptions = {},
): Plugin {
  const pinned = responseKey === undefined ? null : new ResponseKey(responseKey)
  return {
    applyToStack: (stack) => {
      addBeforeSigning(stack, 'attestedKms', (next, { commandName = '' }) => async (sent) => {
        const field = PLAIN_FIELDS[commandName]
        const fields = field === undefined ? {} : fieldsOf((sent.request as HttpRequest).body)
        if (field === undefined || (fields['Recipient'] ?? null) !== null) return next(sent)
        const key = await RecipientKey.generate()
        const nonce = brokerNonces ? nonceOf(await next(asking(sent))) : undefined
        const Recipient = {
          KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
          AttestationDocument: await documentFor(attest, key, nonce),
        }
        const content = pinned === null ? {} : CONTENT_HEADERS
        const request = withFields(sent.request, { ...fields, Recipient }, content)
        const received = await next({ ...sent, request })
        open(received.output as Output, field, (cms) => key.open(cms, pinned !== null))
        return received
      })
      if (brokerNonces) readNonces(stack)
      if (pinned !== null) requireSignedResponses(stack, pinned)
    },
  }
}

function asking<T extends { readonly request: unknown }>(sent: T): T {
  return { ...sent, request: withFields(sent.request, {}, NONCE_REQUEST) }
}

/** In base64. */
async function documentFor(
  attest: Attest,
  key: RecipientKey,
  nonce: Uint8Array | undefined,
): Promise<string> {
  try {
    const document = nonce === undefined ? attest(key.spki) : attest(key.spki, nonce)
    return Buffer.from(await document).toString('base64')
  } catch (cause) {
    const message = 'no attestation document could be obtained'
    throw new KmsClientError('ERR_KMS_CLIENT_DOCUMENT', message, { cause })
  }
}

/** A plaintext that was readable on its way is refused. */
function open(output: Output, field: string, decrypt: (cms: Uint8Array) => Uint8Array): void {
  const cms = output['CiphertextForRecipient']
  const isAttested = cms instanceof Uint8Array && (output[field] ?? null) === null
  if (!isAttested) {
    const message = 'what answered has not used the attestation document'
    throw new KmsClientError('ERR_KMS_CLIENT_NOT_ATTESTED', message)
  }
  output[field] = decrypt(cms)
  delete output['CiphertextForRecipient']
}
