// The kinds of keys: what each is for, and its algorithms, as AWS pairs them.
// @see https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html

/** AWS's names of all kinds of keys, also of those that the broker does not have. */
export const KEY_SPECS = [
  ...(['SYMMETRIC_DEFAULT', 'RSA_2048', 'RSA_3072', 'RSA_4096', 'ECC_NIST_P256'] as const),
  ...(['ECC_NIST_P384', 'ECC_NIST_P521', 'ECC_SECG_P256K1', 'ECC_NIST_EDWARDS25519'] as const),
  ...(['HMAC_224', 'HMAC_256', 'HMAC_384', 'HMAC_512', 'SM2'] as const),
  ...(['ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87'] as const),
  ...(['ML_KEM_512', 'ML_KEM_768', 'ML_KEM_1024'] as const),
] as const

export type KeySpec = (typeof KEY_SPECS)[number]

export const KEY_USAGES = [
  ...(['ENCRYPT_DECRYPT', 'SIGN_VERIFY', 'GENERATE_VERIFY_MAC', 'KEY_AGREEMENT'] as const),
] as const

export type KeyUsage = (typeof KEY_USAGES)[number]

export const ENCRYPTION_ALGORITHMS = [
  ...(['SYMMETRIC_DEFAULT', 'RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256', 'SM2PKE'] as const),
] as const

export type EncryptionAlgorithm = (typeof ENCRYPTION_ALGORITHMS)[number]

export const SIGNING_ALGORITHMS = [
  ...(['RSASSA_PSS_SHA_256', 'RSASSA_PSS_SHA_384', 'RSASSA_PSS_SHA_512'] as const),
  ...(['RSASSA_PKCS1_V1_5_SHA_256', 'RSASSA_PKCS1_V1_5_SHA_384'] as const),
  ...(['RSASSA_PKCS1_V1_5_SHA_512', 'ECDSA_SHA_256', 'ECDSA_SHA_384', 'ECDSA_SHA_512'] as const),
  ...(['SM2DSA', 'ML_DSA_SHAKE_256', 'ED25519_SHA_512', 'ED25519_PH_SHA_512'] as const),
] as const

export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number]

export const MAC_ALGORITHMS = [
  ...(['HMAC_SHA_224', 'HMAC_SHA_256', 'HMAC_SHA_384', 'HMAC_SHA_512'] as const),
] as const

export type MacAlgorithm = (typeof MAC_ALGORITHMS)[number]

type Algorithm = EncryptionAlgorithm | SigningAlgorithm | MacAlgorithm | 'ECDH'
type Usages = Readonly<Partial<Record<KeyUsage, readonly Algorithm[]>>>

const RSA: Usages = {
  ENCRYPT_DECRYPT: ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'],
  SIGN_VERIFY: SIGNING_ALGORITHMS.filter((name) => name.startsWith('RSASSA_')),
}
const nistCurve = (hash: 'ECDSA_SHA_256' | 'ECDSA_SHA_384' | 'ECDSA_SHA_512'): Usages => ({
  SIGN_VERIFY: [hash],
  KEY_AGREEMENT: ['ECDH'],
})

/** What the kinds of keys that the broker has are for; of those it does not have, nothing. */
const USAGES: Readonly<Partial<Record<KeySpec, Usages>>> = {
  SYMMETRIC_DEFAULT: { ENCRYPT_DECRYPT: ['SYMMETRIC_DEFAULT'] },
  ...{ RSA_2048: RSA, RSA_3072: RSA, RSA_4096: RSA },
  ECC_NIST_P256: nistCurve('ECDSA_SHA_256'),
  ECC_NIST_P384: nistCurve('ECDSA_SHA_384'),
  ECC_NIST_P521: nistCurve('ECDSA_SHA_512'),
  ECC_SECG_P256K1: { SIGN_VERIFY: ['ECDSA_SHA_256'] },
  HMAC_224: { GENERATE_VERIFY_MAC: ['HMAC_SHA_224'] },
  HMAC_256: { GENERATE_VERIFY_MAC: ['HMAC_SHA_256'] },
  HMAC_384: { GENERATE_VERIFY_MAC: ['HMAC_SHA_384'] },
  HMAC_512: { GENERATE_VERIFY_MAC: ['HMAC_SHA_512'] },
}

/** Whether the broker has keys of this kind. */
export function isKnownSpec(spec: KeySpec): boolean {
  return USAGES[spec] !== undefined
}

/** The algorithms of a kind of key for one use; undefined when it is not for that. */
export function algorithmsOf(spec: KeySpec, usage: KeyUsage): readonly string[] | undefined {
  return USAGES[spec]?.[usage]
}

/** RSA and EC keys have a public half. */
export function isAsymmetric(spec: KeySpec): boolean {
  return spec.startsWith('RSA_') || spec.startsWith('ECC_')
}
