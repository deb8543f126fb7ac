// A bounded memory of signatures that verified, and of the certificates in chains that were trusted,
// parsed. It holds no opinions: only what follows from the bytes alone and stays true. Dates, names
// and policy are checked anew every time, and nothing of a failed chain gets in.

import { equalBytes } from '../bytes.ts'
import type { Certificate } from '../x509/certificate.ts'
import type { VerificationKey } from './webcrypto.ts'

/** An ECDSA P-384 SHA-384 signature to be checked. */
export interface SignedMessage {
  /** Uncompressed P-384 point, 97 bytes. */
  readonly publicKey: Uint8Array
  /** r || s, 96 bytes. */
  readonly signature: Uint8Array
  readonly message: Uint8Array
}

interface KnownKey {
  readonly publicKey: Uint8Array
  readonly key: VerificationKey
}

const INDEX_BYTES = 8

/** Remembers what verified, so that a known certificate costs no second verification. */
export class SignatureCache {
  readonly #maxEntries: number
  readonly #verified = new Map<string, SignedMessage>()
  readonly #keys = new Map<string, KnownKey>()
  readonly #certificates = new Map<string, Certificate>()

  /**
   * An entry takes about 3 kB; the least recently used one goes when there are more than
   * `maxEntries`.
   * @throws RangeError when `maxEntries` is not a positive integer.
   */
  constructor(maxEntries = 256) {
    if (!Number.isSafeInteger(maxEntries) || maxEntries < 1) {
      throw new RangeError('maxEntries must be a positive integer')
    }
    this.#maxEntries = maxEntries
  }

  /** How many signatures are remembered. */
  get size(): number {
    return this.#verified.size
  }

  /** Forgets everything. */
  clear(): void {
    this.#verified.clear()
    this.#keys.clear()
    this.#certificates.clear()
  }

  /** The parsed form of a remembered certificate. */
  certificate(der: Uint8Array): Certificate | undefined {
    const known = this.#certificates.get(endOf(der))
    return known && equalBytes(known.der, der) ? known : undefined
  }

  /** Remembers a certificate of a chain that was trusted; it must not be a view into a document. */
  rememberCertificate(certificate: Certificate): void {
    this.#put(this.#certificates, endOf(certificate.der), certificate)
  }

  /** Whether exactly this key, message and signature were remembered. */
  knows(signed: SignedMessage): boolean {
    const index = endOf(signed.signature)
    const known = this.#verified.get(index)
    if (!known || !sameTriple(known, signed)) return false
    this.#put(this.#verified, index, known)
    return true
  }

  /** The imported key of a remembered signature. */
  key(publicKey: Uint8Array): VerificationKey | undefined {
    const known = this.#keys.get(endOf(publicKey))
    return known && equalBytes(known.publicKey, publicKey) ? known.key : undefined
  }

  /** Remembers a key that made a signature in a chain that was trusted. */
  rememberKey(publicKey: Uint8Array, key: VerificationKey): void {
    this.#put(this.#keys, endOf(publicKey), { publicKey: publicKey.slice(), key })
  }

  /** Remembers a signature of a chain that was trusted, as a copy. */
  remember({ publicKey, signature, message }: SignedMessage): void {
    this.#put(this.#verified, endOf(signature), {
      publicKey: publicKey.slice(),
      signature: signature.slice(),
      message: message.slice(),
    })
  }

  /** Inserts as the most recently used entry; the least recently used one goes when full. */
  #put<V>(entries: Map<string, V>, index: string, value: V): void {
    entries.delete(index)
    entries.set(index, value)
    if (entries.size <= this.#maxEntries) return
    const oldest = entries.keys().next()
    if (!oldest.done) entries.delete(oldest.value)
  }
}

/** The last bytes of a signature, of a certificate (its signature) or of a point: all random. */
function endOf(bytes: Uint8Array): string {
  let index = ''
  for (const byte of bytes.subarray(-INDEX_BYTES)) index += String.fromCharCode(byte)
  return index
}

function sameTriple(a: SignedMessage, b: SignedMessage): boolean {
  return (
    equalBytes(a.signature, b.signature) &&
    equalBytes(a.publicKey, b.publicKey) &&
    equalBytes(a.message, b.message)
  )
}
