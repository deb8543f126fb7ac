// Verifies that a TPM vouches for the PCRs of a document: a quote over its TPM PCRs, and the
// certified contents of the NV indices that hold the others. Trust argument: the leaf's key is a
// restricted TPM key, so a TPMS_ATTEST that it signed was made by the TPM about its own registers.

import { concatBytes, equalBytes, isZero, toHex } from '../bytes.ts'
import { AttestationError, check } from '../errors.ts'
import { keepingKeys, rememberSignatures } from '../signature/remembering-crypto.ts'
import { verifySignature } from '../signature/verify-signature.ts'
import {
  runtimeCrypto,
  sha384,
  SHA384_BYTES,
  type SignedMessage,
  type WebCrypto,
} from '../signature/webcrypto.ts'
import { decodeNvCertify, decodeQuote, type QuoteAttest, type TpmClock } from './attest.ts'
import type { CertifiedNv, SignedAttest, TpmEvidence } from './evidence.ts'
import { computeName, decodeNvPublic } from './nv-public.ts'
import {
  isNvPcr,
  LOCKED_NV_PCR_ATTRIBUTES,
  nvIndexOf,
  QUOTED_PCRS,
  unsatisfiablePolicy,
} from './pcr-layout.ts'

/** {@link QUOTED_PCRS} as a TPMS_PCR_SELECTION's mask. */
const QUOTED_MASK = Uint8Array.of(0xe7, 0xff, 0x00)

/** What the evidence is checked against; every part must be verified already. */
export interface TpmEvidenceContext {
  /** The COSE payload as received. */
  readonly payload: Uint8Array
  readonly moduleId: string
  /** 48-byte values by index. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>
  /** The leaf's key: uncompressed P-384 point, 97 bytes. */
  readonly publicKey: Uint8Array
  /** The runtime's own by default. */
  readonly crypto?: WebCrypto
}

/** What verified evidence says about the TPM. */
export interface VerifiedTpmEvidence extends TpmClock {
  /** Vendor-specific: 16 hexadecimal digits. */
  readonly firmwareVersion: string
  /** The PCRs whose NV indices were certified. */
  readonly certifiedPcrs: readonly number[]
}

/**
 * Verifies TPM evidence. In order: 1. the quote's signature, type and magic; 2. its qualifying data
 * is SHA-384 of the payload; 3. its selection is PCRs 0 to 15 without 3 and 4 and its digest is that
 * of the document's values; 4. every other PCR of the document is zero or certified: signature,
 * qualifying data SHA-384 of the module id, same boot as the quote, NV Name, attributes, contents.
 * @throws AttestationError ERR_TPM_STRUCTURE, ERR_TPM_SIGNATURE, ERR_TPM_BINDING,
 * ERR_TPM_PCR_MISMATCH.
 */
export async function verifyTpmEvidence(
  evidence: TpmEvidence,
  context: TpmEvidenceContext,
): Promise<VerifiedTpmEvidence> {
  const crypto = keepingKeys(context.crypto ?? runtimeCrypto())
  const about = { ...context, crypto }
  const quote = await verifyQuote(evidence.quote, about)
  checkUncertified(evidence.certifiedNv, about)
  const moduleDigest = await sha384(new TextEncoder().encode(about.moduleId), crypto)
  for (const certified of evidence.certifiedNv) {
    await verifyAttest(certified, about)
    await checkCertified(certified, { ...about, quote, moduleDigest })
  }
  rememberSignatures(
    evidence.certifiedNv.map((entry) => signedMessage(entry, about)),
    crypto,
  )
  const { clock, firmwareVersion } = quote
  return { ...clock, firmwareVersion, certifiedPcrs: evidence.certifiedNv.map(({ pcr }) => pcr) }
}

/** The context with a WebCrypto chosen. */
interface EvidenceContext extends TpmEvidenceContext {
  readonly crypto: WebCrypto
}

async function verifyQuote(signed: SignedAttest, context: EvidenceContext): Promise<QuoteAttest> {
  await verifyAttest(signed, context)
  const quote = decodeQuote(signed.attested)
  const payloadDigest = await sha384(context.payload, context.crypto)
  checkBinding(quote.extraData, payloadDigest, 'the quote is not about this payload')
  checkBinding(quote.pcrMask, QUOTED_MASK, 'the quote is over other PCRs')
  const values = QUOTED_PCRS.map((pcr) => documentPcr(context, pcr))
  const expected = await sha384(concatBytes(...values), context.crypto)
  check(
    equalBytes(quote.pcrDigest, expected),
    'ERR_TPM_PCR_MISMATCH',
    `the TPM quotes PCR digest ${toHex(quote.pcrDigest)}, the document's is ${toHex(expected)}`,
    { expected: toHex(expected), actual: toHex(quote.pcrDigest) },
  )
  return quote
}

/** An NV index that was never written cannot be certified; its PCR is zero. */
function checkUncertified(certified: readonly CertifiedNv[], context: TpmEvidenceContext): void {
  const certifiedPcrs = new Set(certified.map(({ pcr }) => pcr))
  for (const [pcr, value] of context.pcrs) {
    if (!isNvPcr(pcr) || certifiedPcrs.has(pcr) || isZero(value)) continue
    const message = `PCR${pcr} is ${toHex(value)} in the document, and its NV index is not certified`
    const details = { pcr, expected: toHex(new Uint8Array(SHA384_BYTES)), actual: toHex(value) }
    throw new AttestationError('ERR_TPM_PCR_MISMATCH', message, { details })
  }
}

interface CertifiedContext extends EvidenceContext {
  readonly quote: QuoteAttest
  /** SHA-384 of the module id. */
  readonly moduleDigest: Uint8Array
}

async function checkCertified(certified: CertifiedNv, about: CertifiedContext): Promise<void> {
  const { pcr, nvPublic } = certified
  const attest = decodeNvCertify(certified.attested)
  checkBinding(attest.extraData, about.moduleDigest, `PCR${pcr} is certified for another enclave`)
  const { resetCount, restartCount } = about.quote.clock
  const sameBoot =
    attest.clock.resetCount === resetCount && attest.clock.restartCount === restartCount
  check(sameBoot, 'ERR_TPM_BINDING', `PCR${pcr} was certified in another boot of the TPM`, { pcr })
  const name = await computeName(nvPublic, about.crypto)
  checkBinding(attest.nvName, name, `PCR${pcr} is certified under another NV Name`)
  checkNvPublic(pcr, nvPublic)
  const whole = attest.offset === 0 && attest.contents.length === SHA384_BYTES
  check(whole, 'ERR_TPM_BINDING', `PCR${pcr} is not certified as a whole`, { pcr })
  const [expected, actual] = [toHex(documentPcr(about, pcr)), toHex(attest.contents)]
  check(
    actual === expected,
    'ERR_TPM_PCR_MISMATCH',
    `PCR${pcr} is ${actual} in the TPM and ${expected} in the document`,
    { pcr, expected, actual },
  )
}

function checkNvPublic(pcr: number, bytes: Uint8Array): void {
  const { index, attributes, dataSize, authPolicy } = decodeNvPublic(bytes)
  const right =
    index === nvIndexOf(pcr) &&
    attributes === LOCKED_NV_PCR_ATTRIBUTES &&
    dataSize === SHA384_BYTES &&
    equalBytes(authPolicy, unsatisfiablePolicy())
  const details = { pcr, index: index.toString(16), attributes: attributes.toString(16), dataSize }
  check(right, 'ERR_TPM_BINDING', `PCR${pcr} is not in a locked NV EXTEND index`, details)
}

async function verifyAttest(signed: SignedAttest, context: EvidenceContext): Promise<void> {
  const valid = await verifySignature(signedMessage(signed, context), context.crypto)
  check(valid, 'ERR_TPM_SIGNATURE', 'a TPM attestation is not signed by the key of the leaf')
}

function signedMessage(
  { attested, signature }: SignedAttest,
  { publicKey }: TpmEvidenceContext,
): SignedMessage {
  return { publicKey, signature, message: attested }
}

function documentPcr({ pcrs }: TpmEvidenceContext, pcr: number): Uint8Array {
  const value = pcrs.get(pcr)
  check(value !== undefined, 'ERR_TPM_PCR_MISMATCH', `PCR${pcr} is not in the document`, { pcr })
  return value
}

function checkBinding(actual: Uint8Array, expected: Uint8Array, message: string): void {
  const details = { expected: toHex(expected), actual: toHex(actual) }
  check(equalBytes(actual, expected), 'ERR_TPM_BINDING', message, details)
}
