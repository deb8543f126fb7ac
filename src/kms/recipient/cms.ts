// CiphertextForRecipient: CMS EnvelopedData (RFC 5652 section 6) exactly as AWS KMS encodes it, in BER with
// indefinite lengths: one key-transport recipient named by its key's SHA-256, RSAES-OAEP with SHA-256, and
// AES-256-CBC, which has no MAC. On request, AuthEnvelopedData (RFC 5083) with AES-256-GCM (RFC 5084) instead, which
// nobody can change. Whoever knows the public key can make either: who made it, only a signed response says.

import {
  constants,
  createCipheriv,
  createHash,
  publicEncrypt,
  randomBytes,
  type KeyObject,
} from 'node:crypto'

/** Encrypts for an RSA public key, whose DER SubjectPublicKeyInfo may be at hand already. */
export function envelop(
  plaintext: Uint8Array,
  key: KeyObject,
  spki: Uint8Array = key.export({ type: 'spki', format: 'der' }),
): Uint8Array {
  const contentKey = randomBytes(32)
  const iv = randomBytes(16)
  const cipher = createCipheriv('aes-256-cbc', contentKey, iv)
  const content = Buffer.concat([cipher.update(plaintext), cipher.final()])
  const algorithm = der(SEQUENCE, AES_256_CBC, der(OCTET_STRING, iv))
  const contentInfo = ber(
    SEQUENCE,
    ...[DATA, algorithm, ber(CONTEXT_0, der(OCTET_STRING, content))],
  )
  const recipients = der(SET, recipientInfo(contentKey, key, spki))
  const envelopedData = ber(SEQUENCE, VERSION_2, recipients, contentInfo)
  return ber(SEQUENCE, ENVELOPED_DATA, ber(CONTEXT_0, envelopedData))
}

/** The same as AuthEnvelopedData. */
export function envelopAuthenticated(
  plaintext: Uint8Array,
  key: KeyObject,
  spki: Uint8Array = key.export({ type: 'spki', format: 'der' }),
): Uint8Array {
  const [contentKey, nonce] = [randomBytes(32), randomBytes(GCM_NONCE_BYTES)]
  const cipher = createCipheriv('aes-256-gcm', contentKey, nonce)
  const content = Buffer.concat([cipher.update(plaintext), cipher.final()])
  const parameters = der(SEQUENCE, der(OCTET_STRING, nonce), GCM_TAG_LENGTH)
  const contentInfo = ber(
    SEQUENCE,
    ...[DATA, der(SEQUENCE, AES_256_GCM, parameters)],
    ber(CONTEXT_0, der(OCTET_STRING, content)),
  )
  const recipients = der(SET, recipientInfo(contentKey, key, spki))
  const mac = der(OCTET_STRING, cipher.getAuthTag())
  const authEnvelopedData = ber(SEQUENCE, VERSION_0, recipients, contentInfo, mac)
  return ber(SEQUENCE, AUTH_ENVELOPED_DATA, ber(CONTEXT_0, authEnvelopedData))
}

function recipientInfo(contentKey: Uint8Array, key: KeyObject, spki: Uint8Array): Buffer {
  const keyId = createHash('sha256').update(spki).digest()
  const padding = constants.RSA_PKCS1_OAEP_PADDING
  const encrypted = publicEncrypt({ key, padding, oaepHash: 'sha256' }, contentKey)
  return der(
    SEQUENCE,
    ...[VERSION_2, der(CONTEXT_0_PRIMITIVE, keyId), OAEP_SHA256, der(OCTET_STRING, encrypted)],
  )
}

const OCTET_STRING = 0x04
const SEQUENCE = 0x30
const SET = 0x31
const CONTEXT_0_PRIMITIVE = 0x80
const CONTEXT_0 = 0xa0
const CONTEXT_1 = 0xa1

const GCM_NONCE_BYTES = 12
/** aes-ICVlen 16 */
const GCM_TAG_LENGTH = Buffer.from('020110', 'hex')
const VERSION_0 = Buffer.from('020100', 'hex')
const VERSION_2 = Buffer.from('020102', 'hex')
/** 1.2.840.113549.1.7.3 */
const ENVELOPED_DATA = Buffer.from('06092a864886f70d010703', 'hex')
/** 1.2.840.113549.1.9.16.1.23 */
const AUTH_ENVELOPED_DATA = Buffer.from('060b2a864886f70d0109100117', 'hex')
/** 1.2.840.113549.1.7.1 */
const DATA = Buffer.from('06092a864886f70d010701', 'hex')
/** 2.16.840.1.101.3.4.1.42 */
const AES_256_CBC = Buffer.from('060960864801650304012a', 'hex')
/** 2.16.840.1.101.3.4.1.46 */
const AES_256_GCM = Buffer.from('060960864801650304012e', 'hex')
/** 2.16.840.1.101.3.4.2.1, parameters NULL */
const SHA256 = Buffer.from('300d06096086480165030402010500', 'hex')
/** 1.2.840.113549.1.1.8 */
const MGF1 = Buffer.from('06092a864886f70d010108', 'hex')
/** RFC 4055 section 4.1, with the empty label left out */
const OAEP_SHA256 = der(
  SEQUENCE,
  Buffer.from('06092a864886f70d010107', 'hex'),
  der(SEQUENCE, der(CONTEXT_0, SHA256), der(CONTEXT_1, der(SEQUENCE, MGF1, SHA256))),
)

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([tag, ...lengthOctets(content.length)]), content])
}

/** The definite form: short below 128, else two octets are enough here or one. */
function lengthOctets(length: number): readonly number[] {
  if (length < 0x80) return [length]
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
}

/** Constructed, of indefinite length, ended by two zero octets. */
function ber(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from([tag, 0x80]), ...parts, Buffer.of(0, 0)])
}
