// A policy file: what to accept, as data (schemas/policy.schema.json). Unknown fields are refused.

import type { Assurance } from '../assurance.ts'
import type { Attestation } from '../attestation.ts'
import { fromHex } from '../bytes.ts'
import type { DocumentKind } from '../document/payload.ts'
import { AttestationError, check } from '../errors.ts'
import type { Measurements } from '../measurements.ts'
import type { VerifierOptions } from '../options.ts'
import { readOptions } from '../read-options.ts'
import { awsNitroRootG1 } from '../roots.ts'
import { createVerifier, type Verifier } from '../verifier.ts'
import { decodePemBundle } from '../x509/pem.ts'
import { conditionKeys } from './condition-keys.ts'
import { checkConditions, unmetConditions, type ConditionBlock } from './conditions.ts'

/** What a policy file holds. */
export interface PolicyFile {
  readonly $schema?: string
  readonly version: 1
  /** `aws-nitro-g1`, or PEM text of one or several root certificates; at least one. */
  readonly roots: readonly [string, ...string[]]
  readonly kind?: DocumentKind
  /** One or several accepted sets of PCRs. */
  readonly measurements?: Measurements
  /** Conditions on `kms:RecipientAttestation:*`, as in an IAM or KMS key policy. */
  readonly conditions?: ConditionBlock
  readonly moduleId?: string
  /** Hexadecimal, which may be empty, or `absent`. A nonce must be fresh, so it cannot stand here. */
  readonly publicKey?: string
  readonly userData?: string
  readonly allowDebug?: boolean
  readonly assurance?: Assurance | readonly Assurance[]
  readonly tpmEvidence?: 'require' | 'verify-if-present'
  readonly maxAgeMs?: number
  readonly clockSkewMs?: number
}

/** What a policy cannot say as data. */
export type PolicyRuntime = Pick<VerifierOptions, 'crypto' | 'cache' | 'at'>

/** The name of AWS's root in a policy. */
const AWS_NITRO_G1 = 'aws-nitro-g1'
/** Fields that are verifier options under the same name. */
const OPTIONS = [
  ...['kind', 'measurements', 'moduleId', 'allowDebug', 'assurance', 'tpmEvidence'],
  ...['maxAgeMs', 'clockSkewMs'],
]
const RUNTIME = ['crypto', 'cache', 'at']
/** Fields that are verifier options as hexadecimal text. */
const BYTES = ['publicKey', 'userData']
const FIELDS = ['$schema', 'version', 'roots', 'conditions', ...OPTIONS, ...BYTES]

/**
 * A verifier for the policy in a parsed JSON file: everything in it must hold, the conditions too.
 * @throws AttestationError ERR_POLICY_FORMAT, ERR_MEASUREMENTS_FORMAT, ERR_CONDITION_FORMAT, or what
 * is wrong with a root; TypeError on an unknown runtime option. The verifier throws
 * ERR_CONDITION_UNMET besides those of verification.
 */
export function createPolicyVerifier(policy: unknown, runtime: PolicyRuntime = {}): Verifier {
  const file = checkFields(policy)
  const { conditions } = file
  if (conditions) unmetConditions(conditions, {})
  const verifier = verifierOf({ ...optionsOf(file), ...readOptions(runtime, RUNTIME) })
  return {
    verify: async (document, expectations) =>
      holding(await verifier.verify(document, expectations), conditions),
  }
}

function holding(attestation: Attestation, conditions: ConditionBlock | undefined): Attestation {
  if (conditions) checkConditions(conditions, conditionKeys(attestation))
  return attestation
}

function checkFields(policy: unknown): PolicyFile {
  check(isObject(policy), 'ERR_POLICY_FORMAT', 'the policy is not an object')
  for (const field of Object.keys(policy)) {
    check(FIELDS.includes(field), 'ERR_POLICY_FORMAT', `unknown field ${field}`, { field })
  }
  const [version, roots, conditions] = ['version', 'roots', 'conditions'].map((k) => policy[k])
  check(version === 1, 'ERR_POLICY_FORMAT', 'the version is not 1', { field: 'version' })
  const texts = Array.isArray(roots) && roots.every((root) => typeof root === 'string')
  check(texts && roots.length > 0, 'ERR_POLICY_FORMAT', 'roots is not a list of text')
  const block = conditions === undefined || isObject(conditions)
  check(block, 'ERR_POLICY_FORMAT', 'conditions is not an object', { field: 'conditions' })
  return policy as unknown as PolicyFile
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function optionsOf(file: PolicyFile): VerifierOptions {
  const [first, ...others] = file.roots
  const [root, ...further] = rootsOf(first)
  const options = Object.entries(file).flatMap(([field, value]: [string, unknown]) => {
    if (BYTES.includes(field)) return [[field, bytesOf(field, value)] as const]
    return OPTIONS.includes(field) ? [[field, value] as const] : []
  })
  return {
    roots: [root, ...further, ...others.flatMap(rootsOf)],
    ...Object.fromEntries(options),
  }
}

function rootsOf(root: string): readonly [Uint8Array, ...Uint8Array[]] {
  return root === AWS_NITRO_G1 ? [awsNitroRootG1] : decodePemBundle(root)
}

function bytesOf(field: string, value: unknown): Uint8Array | 'absent' {
  if (value === 'absent') return value
  const right = typeof value === 'string' && /^(?:[0-9a-fA-F]{2})*$/.test(value)
  check(right, 'ERR_POLICY_FORMAT', `${field} is neither hexadecimal nor absent`, { field })
  return fromHex(value)
}

/** A wrong value in a file is wrong data, not a mistake of the program. */
function verifierOf(options: VerifierOptions): Verifier {
  try {
    return createVerifier(options)
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause
    throw new AttestationError('ERR_POLICY_FORMAT', cause.message, { cause })
  }
}
