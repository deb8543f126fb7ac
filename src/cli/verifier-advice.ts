// What to do about the verifier's errors at the command line: its own advice speaks of the options of a
// library. Codes that are not here keep theirs.

import type { AttestationErrorCode } from '@cloister/attestation'

export const verifierAdvice: Readonly<Partial<Record<AttestationErrorCode, string>>> = {
  ERR_ASSURANCE:
    "`hardware-tpm` requires an enclave on a host with a TPM chip. Leave --assurance out to accept AWS's Nitro cards (`aws-nitro`) and software TPMs (`software-tpm`), whose documents the host's root user can forge.",
  ERR_CERTIFICATE_EXPIRED:
    'Certificates of enclaves are valid for about 3 hours. For an archived document give the time it was used with --at 2026-01-31T12:00:00Z, or use --at document.',
  ERR_CHAIN_ROOT_UNTRUSTED:
    "Give the root of the authority that should have issued the document: --root FILE (Cloister's is authority/root.pem in the state directory of its host), or --aws-root.",
  ERR_DEBUG_DOCUMENT:
    'Start the enclave without --debug-mode, or accept documents of debug enclaves with --allow-debug, in development only.',
  ERR_DOCUMENT_FIELD: 'The document is malformed: see the field that the message names.',
  ERR_DOCUMENT_KIND:
    'Give the document of an enclave: those of NitroTPM are verified by the library only.',
  ERR_DOCUMENT_TOO_OLD:
    'Ask for a fresh document with a fresh nonce, or accept older ones with --max-age SECONDS.',
  ERR_MEASUREMENTS_FORMAT:
    'Give --measurements what `build-enclave` printed, or JSON such as {"PCR0": "…"} with 96 hexadecimal digits for each PCR.',
  ERR_MODULE_ID_MISMATCH: 'Another enclave answered: `actual` above is its module id.',
  ERR_PCR_MISMATCH:
    'PCR0, PCR1, PCR2 and PCR8 differ when a different image is running: compare with what your builds printed. PCR3 and PCR4 name the role and the host, PCR16 the configuration (`cloister pcr --config-data`).',
  ERR_TPM_EVIDENCE_MISSING:
    'Leave out `--tpm-evidence require` for documents of AWS, which never carry TPM evidence.',
}
