// Actions that a KMS does not have: a misspelt one allows or denies nothing.

import type { PolicyDocument } from './key-policy.ts'
import { isLike, patternOf } from './pattern.ts'
import type { PolicyWarning } from './policy-warning.ts'

/**
 * What names of `kms:` match none of a KMS's actions, in the order of the statements.
 * @param actions - Of the KMS, such as `kms:Decrypt`.
 */
export function findUnknownActionWarnings(
  { statements }: PolicyDocument,
  actions: readonly string[],
): readonly PolicyWarning[] {
  const known = actions.map((one) => one.toLowerCase())
  const isUnknown = (entry: string): boolean => {
    const pattern = patternOf(entry.toLowerCase())
    return /^kms:/i.test(entry) && !known.some((one) => isLike(one, pattern))
  }
  return statements.flatMap(({ name, action }) =>
    action.entries.filter(isUnknown).map((entry) => {
      const message = `${entry} is not an action of KMS: it matches nothing`
      return { code: 'unknown-action', statement: name, message }
    }),
  )
}
