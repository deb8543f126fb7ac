// Conditions on keys that a KMS never has in a request: they hold for every request or for none.

import type { Condition } from './key-conditions.ts'
import type { PolicyDocument } from './key-policy.ts'
import type { PolicyWarning } from './policy-warning.ts'

/** Whether an operator, other than Null, holds for a request without the condition's key. */
export function isTrueWhenAbsent(operator: string): boolean {
  if (operator.endsWith('IfExists') || operator.startsWith('ForAllValues:')) return true
  return isNegated(operator) && !operator.startsWith('ForAnyValue:')
}

/** Whether an operator holds for what differs from the values. */
export function isNegated(operator: string): boolean {
  return /Not/.test(operator)
}

/**
 * What conditions on absent keys do, in the order of the statements.
 * @param isKnown - Whether a KMS can have a condition key, in lower case, in a request.
 */
export function findAbsentKeyWarnings(
  { statements }: PolicyDocument,
  isKnown: (key: string) => boolean,
): readonly PolicyWarning[] {
  return statements.flatMap(({ name, effect, conditions }) =>
    conditions
      .filter(({ key }) => !isKnown(key.toLowerCase()))
      .map((one) => {
        const message = `${one.key} is never in a request here: ${consequenceOf(one, effect)}`
        return { code: 'absent-condition-key', statement: name, message }
      }),
  )
}

function consequenceOf({ operator, values }: Condition, effect: 'Allow' | 'Deny'): string {
  const isNullTrue = values.some((value) => value.toLowerCase() === 'true')
  const holds = operator === 'Null' ? isNullTrue : isTrueWhenAbsent(operator)
  if (holds) return `${operator} holds for every request`
  const verb = effect === 'Allow' ? 'allows' : 'denies'
  return `${operator} holds for none, and the statement ${verb} nothing`
}
