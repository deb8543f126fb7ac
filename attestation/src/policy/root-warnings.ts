// What is wrong with the roots that a key's policy names, for a KMS that trusts these.

import { namedRoots, restrictsRoots, ROOT_CONDITION_KEY } from './document-roots.ts'
import type { PolicyDocument, Statement } from './key-policy.ts'
import type { PolicyWarning } from './policy-warning.ts'

/** By SHA-256 of the trusted roots; nothing is said about roots where none is given. */
export function findRootWarnings(
  policy: PolicyDocument,
  trusted: readonly string[],
): readonly PolicyWarning[] {
  if (trusted.length === 0) return []
  const named = [...namedRoots([policy])]
  const accepted = named.filter((root) => trusted.includes(root))
  const asking = policy.statements.filter(asksForDocument)
  const found: PolicyWarning[] = named
    .filter((root) => !trusted.includes(root))
    .map((root) => {
      const message = `no document under the root ${root} is accepted here`
      return { code: 'untrusted-root', statement: null, message }
    })
  if (new Set(trusted).size > 1 && accepted.length === 0 && asking.length > 0) {
    const message = `names no root with ${ROOT_CONDITION_KEY}: where several are trusted, no document counts for the key`
    found.push({ code: 'no-root', statement: null, message })
  }
  if (accepted.length > 1) found.push(...asking.flatMap(underAnyRoot))
  return found
}

function underAnyRoot({ name, effect, conditions }: Statement): readonly PolicyWarning[] {
  if (effect === 'Deny' || conditions.some((one) => restrictsRoots(one, effect))) return []
  const message =
    'accepts a document under each of the roots that the policy names: name one in this statement'
  return [{ code: 'several-roots', statement: name, message }]
}

function asksForDocument({ conditions }: Statement): boolean {
  return conditions.some(({ key }) => /^kms:recipientattestation:/i.test(key))
}
