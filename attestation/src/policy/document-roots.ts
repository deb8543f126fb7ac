// Which roots a key accepts, for a KMS that trusts several: an image has the same PCRs on every platform, so that
// a document counts for a key only under a root that the key's policy names. AWS KMS trusts its own root alone.

import type { Condition, RequestContext } from './key-conditions.ts'
import type { PolicyDocument } from './key-policy.ts'

/** The condition key of a document's root: SHA-256 of its DER, in lower-case hexadecimal digits. */
export const ROOT_CONDITION_KEY = 'cloister:RecipientAttestation:RootSha256'

const DIGEST = /^[0-9a-f]{64}$/
const DOCUMENT_KEY = /^(kms|cloister):recipientattestation:/i
const ALLOWING = /^(ForAnyValue:)?StringEquals(IgnoreCase)?$/
/** Operators of a Deny that hold unless the request has one of the values. */
export const UNLESS: RegExp = /^(ForAllValues:)?StringNotEquals(IgnoreCase)?(IfExists)?$/

/** What the document in a request counts for. */
export interface DocumentRuling {
  /** The request as policies see it: without the document's condition keys, if it does not count. */
  readonly context: RequestContext
  /** Why the document does not count; null when it does, or there is none. */
  readonly ignored: string | null
}

/** The roots that policies name: an Allow for documents under them, or a Deny for all others. */
export function namedRoots(policies: readonly PolicyDocument[]): ReadonlySet<string> {
  const named = policies.flatMap(({ statements }) =>
    statements.flatMap(({ effect, conditions }) =>
      conditions.filter((one) => restrictsRoots(one, effect)).flatMap(({ values }) => values),
    ),
  )
  return new Set(named.map((value) => value.toLowerCase()))
}

/** Whether a condition lets only documents under certain roots pass. */
export function restrictsRoots({ operator, key, values }: Condition, effect: string): boolean {
  if (key.toLowerCase() !== ROOT_CONDITION_KEY.toLowerCase()) return false
  const right = (effect === 'Allow' ? ALLOWING : UNLESS).test(operator)
  return right && values.every((value) => DIGEST.test(value.toLowerCase()))
}

/**
 * Decides whether the document of a request counts. With one trusted root it does. With several, its root must
 * be named by the key's policy, or by the principal's policies for an action that has no key.
 * @param trusted - SHA-256 of the DER of each root that documents are verified with.
 */
export function ruleOnDocument(
  context: RequestContext,
  policies: { readonly key: PolicyDocument | null; readonly identity: readonly PolicyDocument[] },
  trusted: readonly string[],
): DocumentRuling {
  if (new Set(trusted).size <= 1) return { context, ignored: null }
  const keys = Object.keys(context).filter((key) => DOCUMENT_KEY.test(key))
  if (keys.length === 0) return { context, ignored: null }
  const { key, identity } = policies
  const root = rootOf(context)
  if (root !== null && namedRoots(key ? [key] : identity).has(root))
    return { context, ignored: null }
  const rest = Object.entries(context).filter(([name]) => !keys.includes(name))
  const where = key ? "the key's policy" : "the principal's policies"
  const ignored = `the attestation document does not count: documents of several roots are accepted here, and ${where} must name its root with ${ROOT_CONDITION_KEY} ${root ?? '(unknown)'}`
  return { context: Object.fromEntries(rest), ignored }
}

function rootOf(context: RequestContext): string | null {
  const [, value] =
    Object.entries(context).find(
      ([key]) => key.toLowerCase() === ROOT_CONDITION_KEY.toLowerCase(),
    ) ?? []
  return typeof value === 'string' ? value.toLowerCase() : null
}
