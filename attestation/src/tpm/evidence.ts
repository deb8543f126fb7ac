// The TPM evidence of a Cloister document as it travels: a CBOR map under the text label `tpm` of
// the COSE message's unprotected header.
//   { "quote": { "attested": bstr, "signature": bstr },
//     "certifiedNv": [{ "pcr": uint, "nvPublic": bstr, "attested": bstr, "signature": bstr }, …] }

import { isArray, isBytes, isMap, type CborMap, type CborValue } from '../cbor/index.ts'
import { AttestationError, check } from '../errors.ts'
import { isNvPcr } from './pcr-layout.ts'

/** The label in the unprotected header. */
export const TPM_EVIDENCE_LABEL = 'tpm'

const MAX_CERTIFIED = 18

/** A TPMS_ATTEST and its signature. */
export interface SignedAttest {
  readonly attested: Uint8Array
  /** r || s, 96 bytes. */
  readonly signature: Uint8Array
}

/** TPM2_NV_Certify of the NV index that holds one PCR. */
export interface CertifiedNv extends SignedAttest {
  /** NSM PCR: 3, 4 or 16 to 31. */
  readonly pcr: number
  /** TPMS_NV_PUBLIC. */
  readonly nvPublic: Uint8Array
}

/** Decoded TPM evidence. Nothing in it is verified. */
export interface TpmEvidence {
  readonly quote: SignedAttest
  /** In ascending order of `pcr`. */
  readonly certifiedNv: readonly CertifiedNv[]
}

/**
 * Reads the value under the label `tpm`.
 * @throws AttestationError ERR_TPM_EVIDENCE_FORMAT.
 */
export function decodeTpmEvidence(value: CborValue): TpmEvidence {
  const evidence = fields(value, ['quote', 'certifiedNv'])
  const certified = evidence.get('certifiedNv')
  check(
    isArray(certified) && certified.length <= MAX_CERTIFIED,
    'ERR_TPM_EVIDENCE_FORMAT',
    `certifiedNv is not an array of at most ${MAX_CERTIFIED}`,
  )
  const certifiedNv = certified.map(readCertifiedNv)
  const ascending = certifiedNv.every(
    ({ pcr }, i) => i === 0 || pcr > (certifiedNv[i - 1]?.pcr ?? 0),
  )
  check(ascending, 'ERR_TPM_EVIDENCE_FORMAT', 'certifiedNv is not in ascending order of pcr')
  return {
    quote: readSigned(fields(evidence.get('quote'), ['attested', 'signature'])),
    certifiedNv,
  }
}

function readCertifiedNv(value: CborValue): CertifiedNv {
  const entry = fields(value, ['pcr', 'nvPublic', 'attested', 'signature'])
  const pcr = entry.get('pcr')
  const right = typeof pcr === 'number' && isNvPcr(pcr)
  check(right, 'ERR_TPM_EVIDENCE_FORMAT', 'pcr is not 3, 4 or 16 to 31')
  return { pcr, nvPublic: bytesOf(entry, 'nvPublic'), ...readSigned(entry) }
}

function readSigned(entry: CborMap): SignedAttest {
  return { attested: bytesOf(entry, 'attested'), signature: bytesOf(entry, 'signature') }
}

function bytesOf(entry: CborMap, key: string): Uint8Array {
  const value = entry.get(key)
  if (isBytes(value)) return value
  throw new AttestationError('ERR_TPM_EVIDENCE_FORMAT', `${key} is not a byte string`)
}

/** A map with exactly these keys. */
function fields(value: CborValue | undefined, keys: readonly string[]): CborMap {
  check(
    isMap(value) && value.size === keys.length && keys.every((key) => value.has(key)),
    'ERR_TPM_EVIDENCE_FORMAT',
    `not a map of ${keys.join(', ')}`,
  )
  return value
}
