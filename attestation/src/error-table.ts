// Every code of AttestationError: what it means and what to do about it. The codes are part of the
// API: one may be added, none changes its meaning. docs/errors.md is generated from this table.

/** One row of {@link errorTable}. */
export interface ErrorRow {
  readonly meaning: string
  readonly hint: string
}

const rows = {
  // --- CBOR (RFC 8949)
  ERR_CBOR_TRUNCATED: {
    meaning: 'The bytes end inside a CBOR item.',
    hint: 'The input was cut, or is not CBOR: check how it was transported and whether it is still base64 or hex text.',
  },
  ERR_CBOR_TRAILING_BYTES: {
    meaning: 'Bytes follow the CBOR item.',
    hint: 'Pass exactly the item: documents taken out of calldata or fixed-size buffers carry padding.',
  },
  ERR_CBOR_NOT_MINIMAL: {
    meaning: 'An integer or a length is not in its shortest form.',
    hint: 'Encode with shortest forms (RFC 8949 section 4.2.1). Real documents always do.',
  },
  ERR_CBOR_INDEFINITE_LENGTH: {
    meaning: 'An item of indefinite length where only definite lengths are accepted.',
    hint: 'Encode with definite lengths. Only the outermost map of a document payload may be indefinite.',
  },
  ERR_CBOR_DUPLICATE_KEY: {
    meaning: 'A map has the same key twice.',
    hint: 'Do not accept such input: decoders disagree on which of the two values to use.',
  },
  ERR_CBOR_KEY_TYPE: {
    meaning: 'A map key is neither an integer nor a text string.',
    hint: 'Use integers or text strings as keys.',
  },
  ERR_CBOR_INVALID_UTF8: {
    meaning: 'A text string is not valid UTF-8.',
    hint: 'Send such bytes as a byte string.',
  },
  ERR_CBOR_TOO_DEEP: {
    meaning: 'Arrays, maps and tags are nested deeper than allowed.',
    hint: 'Flatten the structure, or raise `maxDepth`.',
  },
  ERR_CBOR_TOO_LONG: {
    meaning: 'The input, or one array or map in it, is larger than allowed.',
    hint: 'Check that the input is a single message, or raise `maxBytes` or `maxItems`.',
  },
  ERR_CBOR_UNSUPPORTED: {
    meaning:
      'A float, undefined, a simple value, a reserved form or a tag that is not accepted here.',
    hint: 'Use integers, byte and text strings, arrays, maps, booleans and null.',
  },
  // --- COSE (RFC 9052)
  ERR_COSE_FORMAT: {
    meaning: 'Not a COSE_Sign1: four elements of the right types with an attached payload.',
    hint: 'Check that the input is an attestation document and not a wrapper around one.',
  },
  ERR_COSE_TAG: {
    meaning: 'A CBOR tag other than 18 (COSE_Sign1).',
    hint: 'Send the COSE_Sign1 untagged or with tag 18.',
  },
  ERR_COSE_HEADER: {
    meaning: 'A COSE header parameter that is not accepted.',
    hint: 'Protected: only alg. Unprotected: only `tpm`, and only in documents of Cloister.',
  },
  ERR_COSE_ALGORITHM: {
    meaning: 'The signature algorithm is not ES384 in the protected header.',
    hint: 'Nitro and Cloister documents are always ES384 (-35).',
  },
  ERR_COSE_SIGNATURE: {
    meaning: 'The COSE signature does not match the payload and the leaf certificate.',
    hint: 'The document was changed after it was signed. Do not use anything in it.',
  },
  // --- certificates (X.509, DER, RFC 5280)
  ERR_DER_INVALID: {
    meaning: 'Bytes that are not the strict DER that was expected.',
    hint: 'Pass DER, not PEM or BER. In a document: it was damaged or forged.',
  },
  ERR_X509_FORMAT: {
    meaning: 'A certificate that is not the X.509 version 3 structure of RFC 5280.',
    hint: 'See the message for the field.',
  },
  ERR_X509_ALGORITHM: {
    meaning: 'A certificate key that is not P-384, or a signature that is not ecdsa-with-SHA384.',
    hint: 'Every certificate of a Nitro or Cloister chain uses P-384 and SHA-384.',
  },
  ERR_X509_EXTENSION: {
    meaning: 'A certificate extension is malformed, duplicated, or critical and unknown.',
    hint: 'See the message for the extension.',
  },
  ERR_CHAIN_LENGTH: {
    meaning: 'The certificate chain is longer than allowed.',
    hint: 'AWS chains have 5 certificates, those of Cloister 3.',
  },
  ERR_CHAIN_ROOT_UNTRUSTED: {
    meaning: 'The chain does not lead to any root that the caller trusts.',
    hint: 'Compare `roots` with the authority that should have issued the document. A root inside a document proves nothing.',
  },
  ERR_CHAIN_NAME: {
    meaning: 'A certificate does not name the one above it as its issuer.',
    hint: 'The cabundle is out of order or belongs to another chain.',
  },
  ERR_CHAIN_NOT_A_CA: {
    meaning: 'A certificate that issued another one is not a CA that is allowed to do so.',
    hint: 'A critical basicConstraints with CA and keyUsage keyCertSign are required above the leaf.',
  },
  ERR_CHAIN_PATH_LENGTH: {
    meaning: 'More intermediate certificates follow a CA than its pathLenConstraint allows.',
    hint: 'An issuer in the chain was not allowed to issue CA certificates.',
  },
  ERR_CHAIN_LEAF: {
    meaning: 'The leaf certificate is a CA, or its keyUsage does not allow it to sign documents.',
    hint: 'Only an end-entity certificate with digitalSignature and without keyCertSign signs documents.',
  },
  ERR_CHAIN_PURPOSE: {
    meaning: 'A certificate below the root was issued for something other than attestation.',
    hint: 'Its extendedKeyUsage lacks tcg-kp-AIKCertificate (2.23.133.8.3); one issued for TLS, for example, signs no documents. Certificates of AWS and Cloister have no extendedKeyUsage.',
  },
  ERR_CHAIN_SIGNATURE: {
    meaning: 'The signature of a certificate does not match the key above it.',
    hint: 'The certificate was changed, or issued by another key.',
  },
  ERR_CERTIFICATE_EXPIRED: {
    meaning: 'A certificate of the chain is no longer valid at the chosen time.',
    hint: 'Leaf certificates are valid for about 3 hours. For an archived document use `at` with a date, or `at: "document"`.',
  },
  ERR_CERTIFICATE_NOT_YET_VALID: {
    meaning: 'A certificate of the chain is not valid yet at the chosen time.',
    hint: "Check this machine's clock.",
  },
  // --- the document
  ERR_DOCUMENT_TOO_LONG: {
    meaning: 'The document is longer than allowed.',
    hint: 'Documents are about 5 kB, with TPM evidence about 10 kB.',
  },
  ERR_DOCUMENT_FIELD: {
    meaning: 'A field of the payload is missing, unknown, of the wrong type or out of range.',
    hint: 'See `details.field`.',
  },
  ERR_DOCUMENT_KIND: {
    meaning: 'The document is of a different kind than requested.',
    hint: "Enclave documents carry `pcrs`, NitroTPM documents `nitrotpm_pcrs`; ask for the other with `kind: 'nitro-tpm'` or `'nitro-enclave'`.",
  },
  ERR_DOCUMENT_TOO_OLD: {
    meaning: 'The document is older than `maxAgeMs`.',
    hint: 'Ask for a fresh document with a fresh nonce.',
  },
  ERR_DOCUMENT_FROM_FUTURE: {
    meaning: 'The document was made in the future, by more than `clockSkewMs`.',
    hint: "Check this machine's clock and that of the machine that made the document.",
  },
  // --- what the caller expects
  ERR_DEBUG_DOCUMENT: {
    meaning:
      'The enclave runs in debug mode: PCR0, PCR1 or PCR2 is zero, so its code was not measured.',
    hint: 'Start the enclave without debug mode, or set `allowDebug` in development.',
  },
  ERR_PCR_MISMATCH: {
    meaning: 'A PCR does not have the expected value.',
    hint: 'A different image is running. Compare `details.actual` with the measurements of your builds.',
  },
  ERR_PCR_MISSING: {
    meaning: 'An expected PCR is not in the document.',
    hint: 'Documents hold locked PCRs only: lock PCR16 to PCR31 in the enclave before it asks for a document.',
  },
  ERR_NONCE_MISMATCH: {
    meaning: 'The nonce is absent or not the expected one.',
    hint: 'The document answers another request: it may be a replay.',
  },
  ERR_PUBLIC_KEY_MISMATCH: {
    meaning: 'The public key is absent or not the expected one.',
    hint: 'Do not use this connection or key: it may be intercepted.',
  },
  ERR_USER_DATA_MISMATCH: {
    meaning: 'The user data is absent or not the expected one.',
    hint: 'Compare what the application in the enclave puts there.',
  },
  ERR_MODULE_ID_MISMATCH: {
    meaning: 'The document comes from another enclave than expected.',
    hint: 'See `details.actual` for the enclave that answered.',
  },
  ERR_ASSURANCE: {
    meaning: 'The signing key does not have the protection that the caller requires.',
    hint: "See `details.actual`: with `software-tpm` the host's root user is inside the trust boundary. Run the enclave on a host with the protection you require, or accept this one with `assurance`.",
  },
  ERR_MEASUREMENTS_FORMAT: {
    meaning:
      'Measurements that are not PCR values: `PCR0` to `PCR31` with 96 hexadecimal digits each.',
    hint: 'Pass what `build-enclave` printed, or `{ PCR0: "…" }`. An empty set would accept everything.',
  },
  // --- HTTP and TLS
  ERR_HTTP_DOCUMENT_MISSING: {
    meaning: 'A request carries no attestation document, or one that is not base64.',
    hint: 'Ask for a document with the nonce of the WWW-Authenticate header and send it in Attestation-Document.',
  },
  ERR_HTTP_CHALLENGE: {
    meaning: 'The nonce of a document is not one of this server, has expired, or was used before.',
    hint: 'Ask for a new challenge: each is valid for one request.',
  },
  ERR_HTTP_OVERLOADED: {
    meaning:
      'Too many documents were accepted within the life of a challenge to remember them all.',
    hint: 'Raise `maxUsed`, or shorten `challengeLifetimeMs`.',
  },
  ERR_TLS_ANSWER: {
    meaning: 'A server did not answer the question for its attestation document.',
    hint: 'Check `attestationPath`, and that the server runs in an enclave.',
  },
  ERR_TLS_KEY_MISMATCH: {
    meaning: "A server's certificate has another public key than the verified document binds.",
    hint: 'The connection is intercepted, or the server changed its key: attest it again.',
  },
  // --- policies
  ERR_POLICY_FORMAT: {
    meaning: 'A policy that is not what policy.schema.json describes.',
    hint: 'See the message for the field. Unknown fields are refused, because a misspelt rule would check nothing.',
  },
  ERR_CONDITION_FORMAT: {
    meaning: 'A condition block with an unknown operator, or values that it cannot compare.',
    hint: "Use IAM's operators; in a policy file only the string operators and Null, without set operators.",
  },
  ERR_KEY_POLICY_FORMAT: {
    meaning: 'A key policy, or a policy of an identity, that AWS would not accept.',
    hint: 'See the message for the statement and the element. Unknown elements are refused, because a misspelt one would have no effect.',
  },
  ERR_CONDITION_UNMET: {
    meaning: 'A condition on the document does not hold.',
    hint: 'See `details` for the operator, the key and both values.',
  },
  // --- TPM evidence
  ERR_TPM_EVIDENCE_MISSING: {
    meaning: 'The document carries no TPM evidence.',
    hint: 'Documents of AWS never carry it: require it for documents of Cloister only.',
  },
  ERR_TPM_EVIDENCE_FORMAT: {
    meaning: 'The TPM evidence is not the agreed CBOR map.',
    hint: 'See the message for the field.',
  },
  ERR_TPM_STRUCTURE: {
    meaning: 'A TPM structure (TPMS_ATTEST, TPMS_NV_PUBLIC) is malformed or of another type.',
    hint: 'The evidence was not made by a TPM, or was damaged.',
  },
  ERR_TPM_SIGNATURE: {
    meaning: "A TPM attestation is not signed by the document's key.",
    hint: 'The evidence was changed or belongs to another TPM.',
  },
  ERR_TPM_BINDING: {
    meaning:
      'A TPM attestation is about something else: other qualifying data, another selection or another boot.',
    hint: 'The evidence belongs to another document.',
  },
  ERR_TPM_PCR_MISMATCH: {
    meaning: "The TPM's registers do not hold what the document says.",
    hint: 'The host wrote PCR values into the document that its TPM does not have. Do not trust anything in it.',
  },
} as const

/** Every code an {@link AttestationError} can have. */
export type AttestationErrorCode = keyof typeof rows

/** Meaning and advice of every code. */
export const errorTable: Readonly<Record<AttestationErrorCode, ErrorRow>> = rows
