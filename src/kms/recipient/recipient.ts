// The `Recipient` of a request: an attestation document, verified under the roots that the operator chose,
// and the RSA key in it, for which the answer is encrypted. The key is taken from the verified
// document and from nowhere else.

import type { KeyObject } from 'node:crypto'
import {
  AttestationError,
  createVerifier,
  type Attestation,
  type Verifier,
} from '@cloister/attestation'
import type { Fields } from '../fields.ts'
import { invalid, unsupported, type KmsError } from '../kms-error.ts'
import { envelop, envelopAuthenticated } from './cms.ts'
import { parseRecipientKey } from './rsa-key.ts'

/** A verified document and the way to answer to it. */
export interface Recipient {
  readonly attestation: Attestation
  /** `CiphertextForRecipient` of a plaintext. */
  encrypt(plaintext: Uint8Array): Uint8Array
}

/** Which documents are accepted. */
export interface RecipientRules {
  /** DER certificates; empty when the operator trusts none. */
  readonly roots: readonly Uint8Array[]
  readonly maxAgeMs: number
}

const MAX_DOCUMENT_BYTES = 262_144
/** Policies tell them apart, by condition keys of their own. */
const KINDS = ['nitro-enclave', 'nitro-tpm'] as const
const AUTHENTICATED = 'AES_256_GCM'

/** Verifies recipients by rules that are checked once. */
export class RecipientVerifier {
  readonly #verifier: Verifier | undefined

  /** @throws AttestationError when a root is malformed; RangeError on a wrong age. */
  constructor({ roots: [first, ...others], maxAgeMs }: RecipientRules) {
    if (first === undefined) return
    this.#verifier = createVerifier({ roots: [first, ...others], maxAgeMs, kind: KINDS })
  }

  /**
   * Reads and verifies the request's `Recipient`; null when it has none.
   * @param content - `AES_256_GCM` for AuthEnvelopedData; undefined for AWS's EnvelopedData.
   * @throws KmsError ValidationException when the document, or the key in it, is not accepted.
   */
  async verify(fields: Fields, content?: string): Promise<Recipient | null> {
    const recipient = fields.structure('Recipient')
    if (recipient === undefined) return null
    const document = recipient.requiredBlob('AttestationDocument', MAX_DOCUMENT_BYTES)
    const algorithm = recipient.choice('KeyEncryptionAlgorithm', ['RSAES_OAEP_SHA_256'])
    recipient.end()
    if (algorithm === undefined) throw invalid('Recipient.KeyEncryptionAlgorithm is missing')
    if (content !== undefined && content !== AUTHENTICATED)
      throw invalid(`x-cloister-recipient-content is not ${AUTHENTICATED}`)
    const seal = content === undefined ? envelop : envelopAuthenticated
    const attestation = await this.#verifyDocument(document)
    const { key, spki } = recipientKey(attestation)
    return { attestation, encrypt: (plaintext) => seal(plaintext, key, spki) }
  }

  async #verifyDocument(document: Uint8Array): Promise<Attestation> {
    if (this.#verifier === undefined)
      throw unsupported(
        'this broker was started without --root and --aws-root: it accepts no document',
      )
    try {
      return await this.#verifier.verify(document)
    } catch (error) {
      if (error instanceof AttestationError) throw refused(error)
      throw error
    }
  }
}

/** The name AWS uses for a document that it does not accept is not documented. */
function refused({ code, message }: AttestationError): KmsError {
  return invalid(`the attestation document is not accepted: ${code}: ${message}`)
}

function recipientKey({ publicKey }: Attestation): { key: KeyObject; spki: Uint8Array } {
  if (publicKey === null) throw invalid('the attestation document has no public_key')
  const key = parseRecipientKey(publicKey)
  if (key !== undefined) return { key, spki: publicKey }
  throw invalid(
    "the attestation document's public_key is not a DER SubjectPublicKeyInfo of RSA with 2048, 3072 or 4096 bits",
  )
}
