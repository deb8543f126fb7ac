// Asymmetric data keys: a fresh pair in the encodings AWS uses, SubjectPublicKeyInfo and PKCS#8, DER.

import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { unsupported } from '../kms-error.ts'

/** AWS's names of the kinds of pairs. */
export const PAIR_SPECS = [
  ...(['RSA_2048', 'RSA_3072', 'RSA_4096'] as const),
  ...(['ECC_NIST_P256', 'ECC_NIST_P384', 'ECC_NIST_P521', 'ECC_SECG_P256K1'] as const),
  ...(['SM2', 'ECC_NIST_EDWARDS25519', 'ML_KEM_512', 'ML_KEM_768', 'ML_KEM_1024'] as const),
] as const

export type PairSpec = (typeof PAIR_SPECS)[number]

export interface DataKeyPair {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  /** PKCS#8, DER. */
  readonly privateKey: Uint8Array
}

const CURVES: Partial<Record<PairSpec, string>> = {
  ECC_NIST_P256: 'P-256',
  ECC_NIST_P384: 'P-384',
  ECC_NIST_P521: 'P-521',
  ECC_SECG_P256K1: 'secp256k1',
}

const generate = promisify(generateKeyPair)

/** @throws KmsError UnsupportedOperationException for kinds that the broker does not have. */
export async function generatePair(spec: PairSpec): Promise<DataKeyPair> {
  const curve = CURVES[spec]
  if (curve === undefined && !spec.startsWith('RSA_'))
    throw unsupported(`KeyPairSpec ${spec}: this broker has no pairs of this kind`)
  const { publicKey, privateKey } =
    curve === undefined
      ? await generate('rsa', { modulusLength: Number(spec.slice('RSA_'.length)) })
      : await generate('ec', { namedCurve: curve })
  return { publicKey: derOf(publicKey, 'spki'), privateKey: derOf(privateKey, 'pkcs8') }
}

function derOf(key: KeyObject, type: 'spki' | 'pkcs8'): Uint8Array {
  return key.export({ type, format: 'der' } as { type: 'spki'; format: 'der' })
}

/** The kind of key that a curve makes, by the name that Node.js gives it. */
export function curveOf(namedCurve: string | undefined): string | undefined {
  const nist: Readonly<Record<string, string>> = {
    ...{ prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' },
  }
  const name = nist[namedCurve ?? ''] ?? namedCurve
  return Object.entries(CURVES).find(([, curve]) => curve === name)?.[0]
}
