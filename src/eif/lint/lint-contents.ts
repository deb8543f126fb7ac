// The rules for what is in the sections.

import { checkCertificateDates } from '../signing-certificate.ts'
import { CloisterError } from '../../errors.ts'
import { MAX_KERNEL_CMDLINE_BYTES } from '../layout.ts'
import { decodeMetadata } from '../metadata.ts'
import { verifySignatureSection } from '../verify-signature.ts'
import { PLATFORMS, type Findings, type Platform } from './findings.ts'

const BZIMAGE = { offset: 0x202, magic: 'HdrS' } as const
/** Linux Documentation/arch/arm64/booting.rst. */
const ARM64_IMAGE = { offset: 56, magic: 'ARM\x64', textOffset: 8 } as const

/** @param head - The first bytes of the kernel. */
export function lintKernel(head: Buffer, isAarch64: boolean, findings: Findings): void {
  const { offset, magic } = isAarch64 ? ARM64_IMAGE : BZIMAGE
  if (head.toString('latin1', offset, offset + magic.length) !== magic) {
    const format = isAarch64 ? 'an aarch64 Image' : 'a bzImage'
    findings.error('kernel-format', ['aws', 'qemu'], `the kernel is not ${format}`)
  } else if (isAarch64 && head.readBigUInt64LE(ARM64_IMAGE.textOffset) === 0n)
    findings.error('kernel-text-offset', ['aws'], "the kernel's text_offset is 0")
}

/**
 * Reports a command line that has a NUL, is longer than 2047 bytes or is not UTF-8; warns of one that
 * is not a line of printable ASCII.
 */
export function lintCmdline(bytes: Buffer, findings: Findings): void {
  if (bytes.includes(0))
    findings.error(
      'cmdline-nul',
      ['aws', 'cloister'],
      'the command line contains a NUL byte: the kernel ignores what follows it',
    )
  if (bytes.length > MAX_KERNEL_CMDLINE_BYTES)
    findings.error(
      'cmdline-length',
      PLATFORMS,
      'the command line is longer than the 2047 bytes a kernel accepts',
    )
  if (!/^[\x20-\x7e\0]*$/.test(bytes.toString('latin1')))
    findings.warning(
      'cmdline-text',
      PLATFORMS,
      'the command line is not one line of printable ASCII',
    )
  const isUtf8 = Buffer.from(bytes.toString('utf8')).equals(bytes)
  if (!isUtf8) findings.error('cmdline-utf8', ['cloister'], 'the command line is not UTF-8')
}

/** Reports metadata that {@link decodeMetadata} refuses. */
export function lintMetadata(bytes: Buffer, findings: Findings): void {
  orFinding(findings, 'metadata', ['aws', 'cloister'], () => decodeMetadata(bytes))
}

/**
 * Reports a signature section that is malformed, does not sign `pcr0` (48 bytes), or has a
 * certificate that is not valid at `at`.
 */
export function lintSignature(
  bytes: Buffer,
  { pcr0, at }: { readonly pcr0: Uint8Array; readonly at: Date },
  findings: Findings,
): void {
  try {
    const certificate = verifySignatureSection(bytes, pcr0)
    // AWS's reader and ours read such an image, and do not run it.
    orFinding(findings, 'certificate-dates', ['aws', 'cloister'], () => {
      checkCertificateDates(certificate, at)
    })
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error
    const isForm = error.code !== 'ERR_EIF_SIGNATURE_INVALID'
    const platforms: readonly Platform[] = isForm ? PLATFORMS : ['aws', 'cloister']
    findings.error(isForm ? 'signature-form' : 'signature-invalid', platforms, error.message)
  }
}

function orFinding(
  findings: Findings,
  rule: string,
  platforms: readonly Platform[],
  look: () => unknown,
): void {
  try {
    look()
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error
    findings.error(rule, platforms, error.message)
  }
}
