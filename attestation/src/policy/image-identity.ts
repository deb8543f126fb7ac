// Which registers identify the code that a document comes from: some do alone, some only together with others.
// `enclave-images/kms/src/locked_policy.rs` has the same lists.
// @see https://docs.aws.amazon.com/enclaves/latest/user/set-up-attestation.html
// @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/nitrotpm-attestation-document-content.html

import type { Condition } from './key-conditions.ts'

/** How far a set of registers tells images apart. */
export type Identity = 'image' | 'signer' | null

/** Lower-case names of registers, without the prefix of the condition keys. */
export type Registers = ReadonlySet<string>

/** PCR0 covers the whole image; PCR1 and PCR2 do together. A NitroTPM's PCR4 is what boots, PCR12 its command line. */
const IMAGES = [['imagesha384'], ['pcr0'], ['pcr1', 'pcr2'], ['nitrotpmpcr4', 'nitrotpmpcr12']]
/** The certificate that signed the image, and the Secure Boot policy. */
const SIGNERS = [['pcr8'], ['nitrotpmpcr7']]
const REGISTER = /^kms:recipientattestation:(imagesha384|pcr\d+|nitrotpmpcr\d+)$/
const MEASUREMENT = /^[0-9a-f]{64}$|^[0-9a-f]{96}$|^[0-9a-f]{128}$/i
/** Zeros unless a command line is passed to what boots. */
const MAY_BE_ZERO = 'nitrotpmpcr12'

/** Why some registers are not enough. */
const PARTIAL: Readonly<Record<string, string>> = {
  pcr1: 'PCR1 covers the kernel and the boot ramdisk only, which images share: require PCR0, or PCR2 too',
  pcr2: 'PCR2 leaves out the kernel and the boot ramdisk: require PCR0, or PCR1 too',
  nitrotpmpcr4: 'NitroTPMPCR4 leaves out the command line: require NitroTPMPCR12, too',
  nitrotpmpcr12: 'NitroTPMPCR12 covers the command line only: require NitroTPMPCR4, too',
}

/** What documents with certain values of these registers have in common. */
export function identityOf(registers: Registers): Identity {
  const isPinned = (set: readonly string[]): boolean => set.every((one) => registers.has(one))
  if (IMAGES.some(isPinned)) return 'image'
  return SIGNERS.some(isPinned) ? 'signer' : null
}

/** Why these registers do not identify an image; null when nothing is known of them, either. */
export function weaknessOf(registers: Registers): string | null {
  const reasons = [...registers].flatMap((one) => PARTIAL[one] ?? [])
  return reasons.length === 0 ? null : reasons.join('; ')
}

/** The register that a condition compares with measurements; null for any other. A variable can be anything. */
export function measuredRegister({ key, values }: Condition): string | null {
  const register = registerOf(key)
  if (register === null) return null
  return values.every((value) => isMeasurement(value, register)) ? register : null
}

/** The register of a condition key; null for other keys. */
export function registerOf(key: string): string | null {
  return REGISTER.exec(key.toLowerCase())?.[1] ?? null
}

/** Whether a value has the form of a PCR's. */
export function isPcrValue(value: string): boolean {
  return MEASUREMENT.test(value)
}

/** Whether a value is the zeros of a debug enclave, or of a register that nothing was measured into. */
export function isUnmeasured(value: string, register: string | null): boolean {
  return register !== MAY_BE_ZERO && /^0+$/.test(value)
}

function isMeasurement(value: string, register: string): boolean {
  return isPcrValue(value) && !isUnmeasured(value, register)
}
