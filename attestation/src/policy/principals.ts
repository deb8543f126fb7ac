// Who makes a request, and whom a statement is about.
// @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html

import { check } from '../errors.ts'

/** Whom a statement names: everyone, an account, an identity, or something that is not of IAM. */
export type PrincipalEntry =
  | { readonly kind: 'anyone' }
  | { readonly kind: 'account'; readonly account: string }
  | { readonly kind: 'identity'; readonly arn: string }
  | { readonly kind: 'other'; readonly name: string }

/** How closely an entry matches: an account that is named leaves the decision to its own policies. */
export type PrincipalMatch = 'direct' | 'account' | null

const ROOT = /^arn:aws(?:-[a-z-]+)?:iam::(\d{12}):root$/
const IDENTITY = /^arn:aws(?:-[a-z-]+)?:iam::\d{12}:(?:user|role)\/[\w+=,.@/-]{1,576}$/
const SESSION =
  /^(arn:aws(?:-[a-z-]+)?):sts::(\d{12}):(assumed-role|federated-user)\/([\w+=,.@-]{1,64})(?:\/[\w+=,.@-]{2,64})?$/

/** The account of an IAM or STS ARN; empty when the text is not one. */
export function accountOf(arn: string): string {
  return /^arn:[^:]+:(?:iam|sts)::(\d{12}):/.exec(arn)?.[1] ?? ''
}

/** Whether the request is made by an account's root user. */
export function isRootUser(arn: string): boolean {
  return ROOT.test(arn)
}

/** Whether a text is the ARN of a user, a role, a session or an account's root user. */
export function isPrincipalArn(arn: string): boolean {
  return ROOT.test(arn) || IDENTITY.test(arn) || SESSION.test(arn)
}

/**
 * Reads `Principal` or `NotPrincipal`.
 * @throws AttestationError ERR_KEY_POLICY_FORMAT.
 */
export function parsePrincipals(value: unknown, where: string): readonly PrincipalEntry[] {
  if (value === '*') return [{ kind: 'anyone' }]
  const right = typeof value === 'object' && value !== null && !Array.isArray(value)
  check(right, 'ERR_KEY_POLICY_FORMAT', `${where}: the principal is neither "*" nor an object`)
  const entries = Object.entries(value).flatMap(([type, names]: [string, unknown]) =>
    listOf(names, where).map((name) => parseEntry(type, name, where)),
  )
  check(entries.length > 0, 'ERR_KEY_POLICY_FORMAT', `${where}: the principal is empty`)
  return entries
}

/** How a principal's ARN matches one of the entries, the direct way first. */
export function matchPrincipal(arn: string, entries: readonly PrincipalEntry[]): PrincipalMatch {
  const matches = entries.map((entry) => matchEntry(arn, entry))
  if (matches.includes('direct')) return 'direct'
  return matches.includes('account') ? 'account' : null
}

/**
 * Whether a Deny with these as NotPrincipal spares an identity: it and its account must be listed, and the role of a
 * session, too, because AWS looks at the account, the role and the session one after the other.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
 */
export function isExempt(arn: string, entries: readonly PrincipalEntry[]): boolean {
  if (entries.some(({ kind }) => kind === 'anyone')) return true
  const isListed = entries.some((entry) => isItself(arn, entry))
  const isAccountListed = entries.some((entry) => matchEntry(arn, entry) === 'account')
  const isRoleListed = entries.some(
    (entry) => entry.kind === 'identity' && isSessionOf(arn, entry.arn),
  )
  return isListed && (isRootUser(arn) || isAccountListed) && (isRoleListed || !isAssumedRole(arn))
}

function isItself(arn: string, entry: PrincipalEntry): boolean {
  if (entry.kind === 'account') return matchEntry(arn, entry) === 'direct'
  return entry.kind === 'identity' && entry.arn === arn
}

function isAssumedRole(arn: string): boolean {
  return SESSION.exec(arn)?.[3] === 'assumed-role'
}

function matchEntry(arn: string, entry: PrincipalEntry): PrincipalMatch {
  switch (entry.kind) {
    case 'anyone':
      return 'direct'
    case 'account':
      return entry.account !== accountOf(arn) ? null : isRootUser(arn) ? 'direct' : 'account'
    case 'identity':
      return entry.arn === arn || isSessionOf(arn, entry.arn) ? 'direct' : null
    case 'other':
      return entry.name === arn ? 'direct' : null
  }
}

/** Whether an ARN is of a session of a role. The role's may have a path, which those of its sessions leave out. */
export function isSessionOf(session: string, role: string): boolean {
  const [, prefix = '', account = '', kind, name = ''] = SESSION.exec(session) ?? []
  if (kind !== 'assumed-role') return false
  const start = `${prefix}:iam::${account}:role/`
  return role.startsWith(start) && role.slice(start.length).split('/').at(-1) === name
}

const TYPES = ['AWS', 'Service', 'Federated', 'CanonicalUser']

function parseEntry(type: string, name: string, where: string): PrincipalEntry {
  check(TYPES.includes(type), 'ERR_KEY_POLICY_FORMAT', `${where}: unknown principal type ${type}`)
  if (type !== 'AWS') return { kind: 'other', name }
  if (name === '*') return { kind: 'anyone' }
  const account = /^\d{12}$/.test(name) ? name : ROOT.exec(name)?.[1]
  if (account !== undefined) return { kind: 'account', account }
  const right = isPrincipalArn(name)
  const message = `${where}: ${name} is not the ARN of a user, role, session or account`
  check(right, 'ERR_KEY_POLICY_FORMAT', message, { principal: name })
  return { kind: 'identity', arn: name }
}

function listOf(value: unknown, where: string): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  return list.map((one) => {
    const right = typeof one === 'string' && one !== ''
    check(right, 'ERR_KEY_POLICY_FORMAT', `${where}: a principal is not text`)
    return one
  })
}
