// CiphertextForRecipient: CMS EnvelopedData (RFC 5652 section 6) as AWS KMS encodes it, in BER. Its shape is
// fixed: one key-transport recipient named by a key identifier, RSAES-OAEP with SHA-256, AES-256-CBC.
// The content is a constructed value of octet strings (shape A) or a primitive one (shape B).

import { BerReader, malformed } from './ber-reader.ts'

/** What was sent, still encrypted. */
export interface Enveloped {
  /** SHA-256 of the recipient's DER SubjectPublicKeyInfo. */
  readonly keyId: Uint8Array
  /** The content's key, under RSAES-OAEP. */
  readonly encryptedKey: Uint8Array
  readonly iv: Uint8Array
  /** Whole blocks, at least one. */
  readonly ciphertext: Uint8Array
}

/** The model's limit on CiphertextForRecipient. */
const MAX_CMS_BYTES = 6144
const BLOCK_BYTES = 16
const KEY_ID_BYTES = 32

const OCTET_STRING = 0x04
const SEQUENCE = 0x30
const SET = 0x31
const CONTEXT_0 = 0x80
const CONTEXT_0_CONSTRUCTED = 0xa0
const CONTEXT_1_CONSTRUCTED = 0xa1

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const VERSION_2 = hex('020102')
/** 1.2.840.113549.1.7.3 */
const ENVELOPED_DATA = hex('06092a864886f70d010703')
/** 1.2.840.113549.1.7.1 */
const DATA = hex('06092a864886f70d010701')
/** 1.2.840.113549.1.1.7 */
const RSAES_OAEP = hex('06092a864886f70d010107')
/** 1.2.840.113549.1.1.8 */
const MGF1 = hex('06092a864886f70d010108')
/** 2.16.840.1.101.3.4.2.1 */
const SHA256 = hex('0609608648016503040201')
const NULL = hex('0500')
/** 2.16.840.1.101.3.4.1.42 */
const AES_256_CBC = hex('060960864801650304012a')

/**
 * Parses a complete value.
 * @throws KmsClientError ERR_KMS_CLIENT_CMS
 */
export function parseEnveloped(cms: Uint8Array): Enveloped {
  if (cms.length > MAX_CMS_BYTES) throw malformed(`it has more than ${String(MAX_CMS_BYTES)} bytes`)
  const reader = new BerReader(cms)
  const enveloped = reader.constructed(SEQUENCE, () => {
    reader.exactly(ENVELOPED_DATA, 'envelopedData')
    return reader.constructed(CONTEXT_0_CONSTRUCTED, () =>
      reader.constructed(SEQUENCE, () => readEnvelopedData(reader)),
    )
  })
  reader.finish()
  return enveloped
}

function readEnvelopedData(reader: BerReader): Enveloped {
  reader.exactly(VERSION_2, 'version 2')
  const recipient = reader.constructed(SET, () =>
    reader.constructed(SEQUENCE, () => readRecipient(reader)),
  )
  return { ...recipient, ...reader.constructed(SEQUENCE, () => readContent(reader)) }
}

/** KeyTransRecipientInfo. */
function readRecipient(reader: BerReader): Pick<Enveloped, 'keyId' | 'encryptedKey'> {
  reader.exactly(VERSION_2, 'version 2 of a recipient')
  const keyId = reader.primitive(CONTEXT_0)
  if (keyId.length !== KEY_ID_BYTES)
    throw malformed("the recipient's key identifier is not a SHA-256")
  reader.constructed(SEQUENCE, () => {
    reader.exactly(RSAES_OAEP, 'RSAES-OAEP')
    reader.constructed(SEQUENCE, () => {
      readOaepParameters(reader)
    })
  })
  return { keyId, encryptedKey: reader.primitive(OCTET_STRING) }
}

/** SHA-256 in both places, and the empty label left out (RFC 4055 section 4.1). */
function readOaepParameters(reader: BerReader): void {
  const sha256 = (): void => {
    reader.constructed(SEQUENCE, () => {
      reader.exactly(SHA256, 'SHA-256')
      // Either is allowed (RFC 4055 section 2.1).
      if (reader.peek() !== undefined) reader.exactly(NULL, 'NULL parameter')
    })
  }
  reader.constructed(CONTEXT_0_CONSTRUCTED, sha256)
  reader.constructed(CONTEXT_1_CONSTRUCTED, () => {
    reader.constructed(SEQUENCE, () => {
      reader.exactly(MGF1, 'MGF1')
      sha256()
    })
  })
}

/** EncryptedContentInfo. */
function readContent(reader: BerReader): Pick<Enveloped, 'iv' | 'ciphertext'> {
  reader.exactly(DATA, 'content type data')
  const iv = reader.constructed(SEQUENCE, () => {
    reader.exactly(AES_256_CBC, 'AES-256-CBC')
    return reader.primitive(OCTET_STRING)
  })
  if (iv.length !== BLOCK_BYTES) throw malformed('its IV does not have 16 bytes')
  const ciphertext = readBlocks(reader)
  if (ciphertext.length === 0 || ciphertext.length % BLOCK_BYTES !== 0)
    throw malformed('its content does not consist of AES blocks')
  return { iv, ciphertext }
}

function readBlocks(reader: BerReader): Uint8Array {
  if (reader.peek() === CONTEXT_0) return reader.primitive(CONTEXT_0)
  return reader.constructed(CONTEXT_0_CONSTRUCTED, () => {
    const strings: Uint8Array[] = []
    while (reader.peek() !== undefined) strings.push(reader.primitive(OCTET_STRING))
    return Buffer.concat(strings)
  })
}
