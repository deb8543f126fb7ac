// Policies as data: policy files, KMS-style condition keys, IAM string conditions.

export { conditionKeys } from './condition-keys.ts'
export {
  checkConditions,
  unmetConditions,
  type ConditionBlock,
  type ConditionContext,
  type UnmetCondition,
} from './conditions.ts'
export { createPolicyVerifier, type PolicyFile, type PolicyRuntime } from './policy.ts'
export { AttestationError } from '../errors.ts'
