// TPMS_NV_PUBLIC (TPM 2.0 Library, part 2 section 13.5) and Names (part 1 section "Names").

import { concatBytes } from '../bytes.ts'
import { check } from '../errors.ts'
import { runtimeCrypto, sha384, type WebCrypto } from '../signature/webcrypto.ts'
import { TpmReader } from './reader.ts'

const TPM_ALG_SHA384 = 0x000c

/** The public area of an NV index. */
export interface NvPublic {
  /** Handle, e.g. 0x01400203. */
  readonly index: number
  /** TPMA_NV. */
  readonly attributes: number
  /** 48-byte policy digest, or empty. */
  readonly authPolicy: Uint8Array
  readonly dataSize: number
}

/**
 * Decodes the public area of an NV index whose Name is a SHA-384.
 * @throws AttestationError ERR_TPM_STRUCTURE.
 */
export function decodeNvPublic(bytes: Uint8Array): NvPublic {
  const reader = new TpmReader(bytes)
  const index = reader.u32()
  check(reader.u16() === TPM_ALG_SHA384, 'ERR_TPM_STRUCTURE', 'the nameAlg is not SHA-384')
  const attributes = reader.u32()
  const authPolicy = reader.sized16()
  const dataSize = reader.u16()
  reader.end()
  return { index, attributes, authPolicy, dataSize }
}

/**
 * The Name of a public area (TPMS_NV_PUBLIC or TPMT_PUBLIC) whose nameAlg is SHA-384: 50 bytes,
 * 000c and the digest.
 */
export async function computeName(
  publicArea: Uint8Array,
  crypto: WebCrypto = runtimeCrypto(),
): Promise<Uint8Array> {
  return concatBytes(Uint8Array.of(0, TPM_ALG_SHA384), await sha384(publicArea, crypto))
}
