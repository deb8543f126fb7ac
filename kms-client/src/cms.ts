// CiphertextForRecipient: CMS EnvelopedData (RFC 5652 section 6) as AWS KMS encodes it, in BER. Its shape is
// fixed: one key-transport recipient named by a key identifier, RSAES-OAEP with SHA-256, AES-256-CBC.
// The content is a constructed value of octet strings (shape A) or a primitive one (shape B). Cloister's
// broker also makes AuthEnvelopedData (RFC 5083) with AES-256-GCM (RFC 5084), without attributes.

import { BerReader, malformed } from './ber-reader.ts'

/** What was sent, still encrypted. */
interface Sealed {
  /** SHA-256 of the recipient's DER SubjectPublicKeyInfo. */
  readonly keyId: Uint8Array
  /** The content's key, under RSAES-OAEP. */
  readonly encryptedKey: Uint8Array
  readonly iv: Uint8Array
  readonly ciphertext: Uint8Array
}

/** Of EnvelopedData: the ciphertext consists of whole blocks, at least one. */
export interface Enveloped extends Sealed {
  readonly mac?: never
}

/** Of AuthEnvelopedData. */
export interface AuthEnveloped extends Sealed {
  /** 16 bytes. */
  readonly mac: Uint8Array
}

/** The model's limit on CiphertextForRecipient. */
const MAX_CMS_BYTES = 6144
const BLOCK_BYTES = 16
const GCM_NONCE_BYTES = 12
const KEY_ID_BYTES = 32

const OCTET_STRING = 0x04
const SEQUENCE = 0x30
const SET = 0x31
const CONTEXT_0 = 0x80
const CONTEXT_0_CONSTRUCTED = 0xa0
const CONTEXT_1_CONSTRUCTED = 0xa1

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const VERSION_0 = hex('020100')
const VERSION_2 = hex('020102')
/** 1.2.840.113549.1.7.3 */
const ENVELOPED_DATA = hex('06092a864886f70d010703')
/** 1.2.840.113549.1.9.16.1.23 */
const AUTH_ENVELOPED_DATA = hex('060b2a864886f70d0109100117')
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
/** 2.16.840.1.101.3.4.1.46 */
const AES_256_GCM = hex('060960864801650304012e')
/** aes-ICVlen 16; the default, 12, is refused. */
const TAG_LENGTH = hex('020110')

/**
 * Parses a complete EnvelopedData.
 * @throws KmsClientError ERR_KMS_CLIENT_CMS
 */
export function parseEnveloped(cms: Uint8Array): Enveloped {
  return parse(cms, (reader) => {
    reader.exactly(ENVELOPED_DATA, 'envelopedData')
    return readExplicit(reader, () => {
      reader.exactly(VERSION_2, 'version 2')
      return { ...readRecipients(reader), ...readContent(reader, readCbc) }
    })
  })
}

/**
 * Parses a complete AuthEnvelopedData.
 * @throws KmsClientError ERR_KMS_CLIENT_CMS
 */
export function parseAuthEnveloped(cms: Uint8Array): AuthEnveloped {
  return parse(cms, (reader) => {
    reader.exactly(AUTH_ENVELOPED_DATA, 'authEnvelopedData')
    return readExplicit(reader, () => {
      reader.exactly(VERSION_0, 'version 0')
      const content = { ...readRecipients(reader), ...readContent(reader, readGcm) }
      const mac = reader.primitive(OCTET_STRING)
      if (mac.length !== BLOCK_BYTES) throw malformed('its MAC does not have 16 bytes')
      return { ...content, mac }
    })
  })
}

/** A ContentInfo, and nothing behind it. */
function parse<T>(cms: Uint8Array, read: (reader: BerReader) => T): T {
  if (cms.length > MAX_CMS_BYTES) throw malformed(`it has more than ${String(MAX_CMS_BYTES)} bytes`)
  const reader = new BerReader(cms)
  const value = reader.constructed(SEQUENCE, () => read(reader))
  reader.finish()
  return value
}

function readExplicit<T>(reader: BerReader, read: () => T): T {
  return reader.constructed(CONTEXT_0_CONSTRUCTED, () => reader.constructed(SEQUENCE, read))
}

function readRecipients(reader: BerReader): Pick<Sealed, 'keyId' | 'encryptedKey'> {
  return reader.constructed(SET, () => reader.constructed(SEQUENCE, () => readRecipient(reader)))
}

/** KeyTransRecipientInfo. */
function readRecipient(reader: BerReader): Pick<Sealed, 'keyId' | 'encryptedKey'> {
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

/** EncryptedContentInfo: the IV and the ciphertext. */
function readContent(
  reader: BerReader,
  readAlgorithm: (reader: BerReader) => Uint8Array,
): Pick<Sealed, 'iv' | 'ciphertext'> {
  return reader.constructed(SEQUENCE, () => {
    reader.exactly(DATA, 'content type data')
    const iv = reader.constructed(SEQUENCE, () => readAlgorithm(reader))
    const ciphertext = readOctets(reader)
    const isWhole = ciphertext.length > 0 && ciphertext.length % BLOCK_BYTES === 0
    if (readAlgorithm === readCbc && !isWhole)
      throw malformed('its content does not consist of AES blocks')
    return { iv, ciphertext }
  })
}

function readCbc(reader: BerReader): Uint8Array {
  reader.exactly(AES_256_CBC, 'AES-256-CBC')
  const iv = reader.primitive(OCTET_STRING)
  if (iv.length !== BLOCK_BYTES) throw malformed('its IV does not have 16 bytes')
  return iv
}

function readGcm(reader: BerReader): Uint8Array {
  reader.exactly(AES_256_GCM, 'AES-256-GCM')
  const nonce = reader.constructed(SEQUENCE, () => {
    const octets = reader.primitive(OCTET_STRING)
    reader.exactly(TAG_LENGTH, 'MAC of 16 bytes')
    return octets
  })
  if (nonce.length !== GCM_NONCE_BYTES) throw malformed('its nonce does not have 12 bytes')
  return nonce
}

function readOctets(reader: BerReader): Uint8Array {
  if (reader.peek() === CONTEXT_0) return reader.primitive(CONTEXT_0)
  return reader.constructed(CONTEXT_0_CONSTRUCTED, () => {
    const strings: Uint8Array[] = []
    while (reader.peek() !== undefined) strings.push(reader.primitive(OCTET_STRING))
    return Buffer.concat(strings)
  })
}
