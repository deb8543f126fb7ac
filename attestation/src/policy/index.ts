// Policies as data: policy files, KMS-style condition keys, IAM string conditions; and whole key
// policies, decided and explained as AWS KMS does.

export { findAbsentKeyWarnings } from './absent-keys.ts'
export { conditionKeys } from './condition-keys.ts'
export {
  checkConditions,
  unmetConditions,
  type ConditionBlock,
  type ConditionContext,
  type UnmetCondition,
} from './conditions.ts'
export {
  namedRoots,
  ROOT_CONDITION_KEY,
  ruleOnDocument,
  type DocumentRuling,
} from './document-roots.ts'
export {
  decide,
  type AccessPolicies,
  type AccessRequest,
  type Decision,
  type StatementReport,
} from './evaluate.ts'
export { parseGrants, type Grant, type GrantContext } from './grants.ts'
export { DOCUMENT_ACTIONS, OPENING_ACTIONS, openToOtherRoots, unguardedActions } from './guards.ts'
export type { CheckedCondition, Condition, RequestContext } from './key-conditions.ts'
export {
  parseKeyPolicy,
  type Matcher,
  type PolicyDocument,
  type PolicyKind,
  type Statement,
} from './key-policy.ts'
export { createPolicyVerifier, type PolicyFile, type PolicyRuntime } from './policy.ts'
export {
  accountOf,
  isPrincipalArn,
  isRootUser,
  isSessionOf,
  type PrincipalEntry,
} from './principals.ts'
export { repeatedKey } from './repeated-key.ts'
export type { PolicyWarning, PolicyWarningCode } from './policy-warning.ts'
export { findUnknownActionWarnings } from './unknown-actions.ts'
export { findGrantWarnings, findPolicyWarnings } from './warnings.ts'
export { AttestationError } from '../errors.ts'
