// What the TPM itself says about a document, for the unprotected header under the label "tpm": a
// quote of its PCRs over this very payload, and a certification of each locked, written NV index.
// A verifier that knows nothing of it sees an ordinary Nitro document.

import { QUOTED_PCRS } from '@cloister/attestation/tpm'
import { createHash } from 'node:crypto'
import { pcrDigestOfQuote, type NvCertification, type SoftwareTpm } from '../chip/index.ts'
import { check } from '../errors.ts'
import { cborMap, type CborInput } from '../cbor.ts'
import type { PcrRegisters } from './pcr-registers.ts'

/**
 * Gathers a TPM's evidence for the documents of one enclave. Certifications are kept, quotes are
 * made anew.
 */
export class TpmEvidence {
  readonly #tpm: SoftwareTpm
  readonly #registers: PcrRegisters
  readonly #moduleIdDigest: Uint8Array
  readonly #certified = new Map<number, NvCertification>()

  constructor(tpm: SoftwareTpm, registers: PcrRegisters, moduleId: string) {
    this.#tpm = tpm
    this.#registers = registers
    this.#moduleIdDigest = sha384(Buffer.from(moduleId))
  }

  /** Has the TPM certify what is locked and was not certified yet; each index once. */
  async certifyLocked(): Promise<void> {
    for (const pcr of this.#registers.certifiable) {
      if (this.#certified.has(pcr)) continue
      this.#certified.set(pcr, await this.#tpm.certifyNv(pcr, this.#moduleIdDigest))
    }
  }

  /**
   * The evidence for a document.
   * @throws ERR_NSM_QUOTE_MISMATCH when the TPM's PCRs are not the ones in the document
   */
  async forPayload(payload: Uint8Array): Promise<CborInput> {
    await this.certifyLocked()
    const quote = await this.#tpm.quote(QUOTED_PCRS, sha384(payload))
    await this.#checkQuote(quote.attested)
    const ascending = [...this.#certified].sort(([one], [other]) => one - other)
    const certifiedNv = ascending.map(([pcr, nv]) =>
      cborMap({ pcr, nvPublic: nv.nvPublic, attested: nv.attested, signature: nv.signature }),
    )
    const { attested, signature } = quote
    return cborMap({ quote: cborMap({ attested, signature }), certifiedNv })
  }

  async #checkQuote(attested: Uint8Array): Promise<void> {
    const values = createHash('sha384')
    for (const pcr of QUOTED_PCRS) values.update(await this.#registers.read(pcr))
    const same = values.digest().equals(pcrDigestOfQuote(attested))
    check(same, 'ERR_NSM_QUOTE_MISMATCH', 'the TPM quotes other PCRs than the document has')
  }
}

function sha384(bytes: Uint8Array): Uint8Array {
  return createHash('sha384').update(bytes).digest()
}
