// Computes the PCR values that an image must have: `new = SHA384(old || data)` from 48 zero bytes.
// PCR0, 1, 2 and 8 extend by the SHA-384 of their contents; PCR3 and 4 by the text itself.

import { concatBytes, toHex } from './bytes.ts'
import { runtimeCrypto, sha384, SHA384_BYTES, type WebCrypto } from './signature/webcrypto.ts'

/** The measured sections of an EIF, in file order. */
export interface ImageSections {
  readonly kernel: Uint8Array
  readonly cmdline: Uint8Array
  /** At least one; the first holds init. */
  readonly ramdisks: readonly Uint8Array[]
}

/** PCRs of an image: 96 lower-case hexadecimal digits each. */
export interface ImagePcrs {
  readonly PCR0: string
  readonly PCR1: string
  readonly PCR2: string
}

/** PCR0 (whole image), PCR1 (kernel, cmdline, first ramdisk) and PCR2 (the other ramdisks). */
export async function computeImagePcrs(
  { kernel, cmdline, ramdisks }: ImageSections,
  crypto: WebCrypto = runtimeCrypto(),
): Promise<ImagePcrs> {
  const [first = new Uint8Array(), ...others] = ramdisks
  const [PCR0, PCR1, PCR2] = await Promise.all([
    computeContentPcr(concatBytes(kernel, cmdline, ...ramdisks), crypto),
    computeContentPcr(concatBytes(kernel, cmdline, first), crypto),
    computeContentPcr(concatBytes(...others), crypto),
  ])
  return { PCR0, PCR1, PCR2 }
}

/** PCR3: the ARN of the parent instance's IAM role. */
export function computeRolePcr(roleArn: string, crypto?: WebCrypto): Promise<string> {
  return extendFromZero(new TextEncoder().encode(roleArn), crypto)
}

/** PCR4: the parent's instance id, e.g. `i-07e25f3bada361dec`. */
export function computeInstancePcr(instanceId: string, crypto?: WebCrypto): Promise<string> {
  return extendFromZero(new TextEncoder().encode(instanceId), crypto)
}

/** PCR8: the DER certificate that signed the image. */
export function computeSigningPcr(certificate: Uint8Array, crypto?: WebCrypto): Promise<string> {
  return computeContentPcr(certificate, crypto)
}

/** A PCR that was extended once, from zero, by the SHA-384 of some contents (`nitro-cli pcr`). */
export async function computeContentPcr(
  contents: Uint8Array,
  crypto: WebCrypto = runtimeCrypto(),
): Promise<string> {
  return extendFromZero(await sha384(contents, crypto), crypto)
}

async function extendFromZero(
  data: Uint8Array,
  crypto: WebCrypto = runtimeCrypto(),
): Promise<string> {
  return toHex(await sha384(concatBytes(new Uint8Array(SHA384_BYTES), data), crypto))
}
