// A bounded memory of what verified: the certificates of chains that were trusted, parsed, each with
// the key that it verified under, and signatures of TPM attestations. It holds only what
// follows from the bytes alone and stays true. Dates, names and policy are checked anew every
// time, and nothing of a failed chain gets in.

import { equalBytes } from '../bytes.ts'
import type { Certificate } from '../x509/certificate.ts'
import { KeyRing } from './key-ring.ts'
import type { SignedMessage, WebCrypto } from './webcrypto.ts'

interface KnownCertificate {
  readonly certificate: Certificate
  readonly issuerKey: Uint8Array
}

const INDEX_BYTES = 6

/** Remembers what verified, so that a known certificate costs no second verification. */
export class SignatureCache {
  readonly #maxEntries: number
  readonly #certificates = new Map<number, KnownCertificate>()
  readonly #messages = new Map<number, SignedMessage>()
  #keyRings = new WeakMap<WebCrypto, KeyRing>()

  /**
   * Remembers at most `maxEntries` certificates and as many signatures of TPM attestations, about
   * 3 kB each; the least recently used one goes when there are more.
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
    return this.#certificates.size + this.#messages.size
  }

  /** Forgets everything. */
  clear(): void {
    this.#certificates.clear()
    this.#messages.clear()
    this.#keyRings = new WeakMap()
  }

  /** The imported keys of the remembered certificates; each WebCrypto has its own. */
  keyRing(crypto: WebCrypto): KeyRing {
    const ring = this.#keyRings.get(crypto) ?? new KeyRing(crypto)
    this.#keyRings.set(crypto, ring)
    return ring
  }

  /** The parsed form of a remembered certificate, which has exactly these bytes. */
  certificate(der: Uint8Array): Certificate | undefined {
    const known = this.#certificates.get(endOf(der))?.certificate
    return known && equalBytes(known.der, der) ? known : undefined
  }

  /**
   * Remembers the certificates of a path, root first, that was trusted as a whole. They are kept as
   * they are, so they must not be views into bytes that other code can change.
   */
  rememberPath(path: readonly Certificate[]): void {
    path.forEach((certificate, i) => {
      const issuer = path[i - 1]
      if (!issuer) return
      const known = { certificate, issuerKey: issuer.publicKey }
      this.#put(this.#certificates, endOf(certificate.der), known)
    })
  }

  /** Whether exactly this key, message and signature were remembered, of a certificate or not. */
  knows(signed: SignedMessage): boolean {
    const index = endOf(signed.signature)
    const known = this.#messages.get(index) ?? signedOf(this.#certificates.get(index))
    return known !== undefined && sameTriple(known, signed)
  }

  /** Remembers a signature of evidence that was trusted, as a copy. */
  remember(signed: SignedMessage): void {
    const index = endOf(signed.signature)
    const known = this.#messages.get(index)
    this.#put(this.#messages, index, known && sameTriple(known, signed) ? known : copyOf(signed))
  }

  /** Inserts as the most recently used entry; the least recently used one goes when full. */
  #put<V>(entries: Map<number, V>, index: number, value: V): void {
    entries.delete(index)
    entries.set(index, value)
    if (entries.size <= this.#maxEntries) return
    const oldest = entries.keys().next()
    if (!oldest.done) entries.delete(oldest.value)
  }
}

/** The last bytes of a signature, or of a certificate, which ends with one: they are random. */
function endOf(bytes: Uint8Array): number {
  let index = 0
  for (let i = bytes.length - INDEX_BYTES; i < bytes.length; i++) {
    index = index * 0x100 + (bytes[i] ?? 0)
  }
  return index
}

/** A certificate ends with the last bytes of its signature, so both have one index. */
function signedOf(known: KnownCertificate | undefined): SignedMessage | undefined {
  if (!known) return undefined
  const { signature, tbs } = known.certificate
  return { publicKey: known.issuerKey, signature, message: tbs }
}

function copyOf({ publicKey, signature, message }: SignedMessage): SignedMessage {
  return {
    publicKey: publicKey.slice(),
    signature: signature.slice(),
    message: message.slice(),
  }
}

function sameTriple(a: SignedMessage, b: SignedMessage): boolean {
  return (
    equalBytes(a.signature, b.signature) &&
    equalBytes(a.publicKey, b.publicKey) &&
    equalBytes(a.message, b.message)
  )
}
