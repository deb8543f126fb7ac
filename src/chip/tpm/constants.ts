// The numbers of TPM 2.0 that the chip uses. TPM 2.0 Library, Part 2 "Structures": sections 6.3
// (algorithms), 6.5.2 (command codes), 6.9 (structure tags), 7.4 (handles).

export const commandCodes = {
  NV_UndefineSpace: 0x122,
  NV_DefineSpace: 0x12a,
  PCR_Allocate: 0x12b,
  CreatePrimary: 0x131,
  NV_Increment: 0x134,
  NV_Extend: 0x136,
  NV_WriteLock: 0x138,
  SequenceComplete: 0x13e,
  Startup: 0x144,
  Shutdown: 0x145,
  NV_Read: 0x14e,
  Create: 0x153,
  Load: 0x157,
  Quote: 0x158,
  SequenceUpdate: 0x15c,
  Sign: 0x15d,
  Unseal: 0x15e,
  FlushContext: 0x165,
  NV_ReadPublic: 0x169,
  ReadPublic: 0x173,
  GetCapability: 0x17a,
  GetRandom: 0x17b,
  Hash: 0x17d,
  PCR_Read: 0x17e,
  PCR_Extend: 0x182,
  NV_Certify: 0x184,
  HashSequenceStart: 0x186,
} as const

/**
 * TPM_RC_FAILURE: the TPM is in failure mode, for example because it could not write its state, and
 * answers every command so from then on (Part 1 section 12.4 "Failure Mode").
 */
export const TPM_RC_FAILURE = 0x101

export type CommandName = keyof typeof commandCodes

export const TPM_ST_NO_SESSIONS = 0x8001
export const TPM_ST_SESSIONS = 0x8002
export const TPM_ST_HASHCHECK = 0x8024

export const TPM_RH_OWNER = 0x40000001
export const TPM_RH_NULL = 0x40000007
export const TPM_RS_PW = 0x40000009
export const TPM_RH_ENDORSEMENT = 0x4000000b
export const TPM_RH_PLATFORM = 0x4000000c

export const TPM_SU_CLEAR = 0
export const TPM_CAP_PCRS = 5

export const TPM_ALG_SHA1 = 0x0004
export const TPM_ALG_AES = 0x0006
export const TPM_ALG_KEYEDHASH = 0x0008
export const TPM_ALG_SHA256 = 0x000b
export const TPM_ALG_SHA384 = 0x000c
export const TPM_ALG_SHA512 = 0x000d
export const TPM_ALG_NULL = 0x0010
export const TPM_ALG_ECDSA = 0x0018
export const TPM_ALG_ECC = 0x0023
export const TPM_ALG_CFB = 0x0043
export const TPM_ECC_NIST_P256 = 0x0003
export const TPM_ECC_NIST_P384 = 0x0004
export const TPM_ECC_NIST_P521 = 0x0005

/** TPM_RC_NV_UNINITIALIZED: the index was never written. */
export const TPM_RC_NV_UNINITIALIZED = 0x14a
/** TPM_RC_NV_DEFINED: the index is in use. */
export const TPM_RC_NV_DEFINED = 0x14c
/** TPM_RC_HANDLE for the first handle: there is nothing at it. */
export const TPM_RC_HANDLE_1 = 0x18b

/** A SHA-384 digest: the length of every PCR, name digest and qualifying data here. */
export const SHA384_BYTES = 48
/** The most data that one command takes (MAX_DIGEST_BUFFER, MAX_NV_BUFFER_SIZE). */
export const MAX_BUFFER_BYTES = 1024
