// A plugin of AWS's SDK: requests of the five operations that answer to a document get one, with a fresh key, and
// the plain field of the response is filled as if there had been none.

import type { KMSClient } from '@aws-sdk/client-kms'
import { KmsClientError } from './errors.ts'
import { RecipientKey } from './recipient-key.ts'
import { ResponseKey } from './response-key.ts'
import { ATTESTED, requireSignedResponses } from './signed-responses.ts'

/** Obtains an attestation document with this `public_key`, DER SubjectPublicKeyInfo. */
export type Attest = (publicKey: Uint8Array) => Promise<Uint8Array>

export interface AttestedKmsOptions {
  /**
   * The public key in PEM with which Cloister's broker signs responses. With it, every response must be signed, and
   * `CiphertextForRecipient` must be AuthEnvelopedData. AWS KMS does neither.
   */
  readonly responseKey?: string
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
type Fields = Record<string, unknown>

/**
 * `client.middlewareStack.use(attestedKms(attest))`. Requests that have a `Recipient` already are not changed.
 * @throws KmsClientError ERR_KMS_CLIENT_RESPONSE_KEY. In a request: ERR_KMS_CLIENT_DOCUMENT,
 * ERR_KMS_CLIENT_NOT_ATTESTED, ERR_KMS_CLIENT_CMS, ERR_KMS_CLIENT_SIGNATURE.
 */
export function attestedKms(attest: Attest, { responseKey }: AttestedKmsOptions = {}): Plugin {
  const pinned = responseKey === undefined ? null : new ResponseKey(responseKey)
  return {
    applyToStack: (stack) => {
      stack.add(
        (next, context) => async (args) => {
          const field = PLAIN_FIELDS[context.commandName ?? '']
          const input = args.input as Fields
          if (field === undefined || input['Recipient'] !== undefined) return next(args)
          Object.assign(context, { [ATTESTED]: true })
          const key = await RecipientKey.generate()
          const Recipient = {
            KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
            AttestationDocument: await documentFor(attest, key),
          }
          const result = await next({
            ...args,
            input: { ...input, Recipient } as typeof args.input,
          })
          const output = result.output as unknown as Fields
          open(output, field, (cms) => key.open(cms, pinned !== null))
          return result
        },
        { step: 'initialize', name: 'attestedKms', override: true },
      )
      if (pinned !== null) requireSignedResponses(stack, pinned)
    },
  }
}

async function documentFor(attest: Attest, key: RecipientKey): Promise<Uint8Array> {
  try {
    return await attest(key.spki)
  } catch (cause) {
    const message = 'no attestation document could be obtained'
    throw new KmsClientError('ERR_KMS_CLIENT_DOCUMENT', message, { cause })
  }
}

/** A plaintext that was readable on its way is refused. */
function open(output: Fields, field: string, decrypt: (cms: Uint8Array) => Uint8Array): void {
  const cms = output['CiphertextForRecipient']
  const isAttested = cms instanceof Uint8Array && (output[field] ?? null) === null
  if (!isAttested) {
    const message = 'what answered has not used the attestation document'
    throw new KmsClientError('ERR_KMS_CLIENT_NOT_ATTESTED', message)
  }
  output[field] = decrypt(cms)
  delete output['CiphertextForRecipient']
}
