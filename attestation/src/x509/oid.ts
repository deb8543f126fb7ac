// The object identifiers that certificates of this profile use, by their DER contents in hex.

/** Algorithms, curves and key types. */
export const OID = {
  ecPublicKey: '2a8648ce3d0201', // 1.2.840.10045.2.1
  secp384r1: '2b81040022', // 1.3.132.0.34
  ecdsaWithSha384: '2a8648ce3d040303', // 1.2.840.10045.4.3.3
  subjectKeyIdentifier: '551d0e', // 2.5.29.14
  keyUsage: '551d0f', // 2.5.29.15
  basicConstraints: '551d13', // 2.5.29.19
  extendedKeyUsage: '551d25', // 2.5.29.37
  nameConstraints: '551d1e', // 2.5.29.30
  policyConstraints: '551d24', // 2.5.29.36
  inhibitAnyPolicy: '551d36', // 2.5.29.54
  attestationKey: '6781050803', // 2.23.133.8.3, tcg-kp-AIKCertificate
} as const

/** Attribute types of a distinguished name that have a short name, RFC 4519. */
export const ATTRIBUTE_NAMES: Readonly<Record<string, string>> = {
  '550403': 'CN',
  '550406': 'C',
  '550407': 'L',
  '550408': 'ST',
  '55040a': 'O',
  '55040b': 'OU',
}
