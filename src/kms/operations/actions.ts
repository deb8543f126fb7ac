// What policies can allow or deny.

import { MISSING, OPERATIONS } from './index.ts'

/** Checked for operations that have other names. */
const OTHERS = ['ReEncryptFrom', 'ReEncryptTo', 'SynchronizeMultiRegionKey']

/** Every action of AWS KMS, those that this broker does not have included: `kms:Decrypt`. */
export const ACTIONS: readonly string[] = [...OPERATIONS.keys(), ...MISSING, ...OTHERS]
  .filter((name) => name !== 'ReEncrypt')
  .map((name) => `kms:${name}`)
