// The verifier's reader of TPM structures, for the responses of a TPM: what it hands out are copies,
// and a short answer is this TPM's fault, with a code of its own.

import { TpmReader } from '@cloister/attestation/tpm'
import { CloisterError } from '../../errors.ts'

/** @throws ERR_CHIP_TPM_PROTOCOL on a read past the end, and at the end when bytes are left over. */
export class ResponseReader extends TpmReader {
  /** A copy of the next `length` bytes. */
  override take(length: number): Uint8Array {
    return super.take(length).slice()
  }

  /** Everything that is left. */
  rest(): Uint8Array {
    return this.take(this.left)
  }

  protected override failure(problem: string): Error {
    return new CloisterError('ERR_CHIP_TPM_PROTOCOL', problem, { details: { left: this.left } })
  }
}
