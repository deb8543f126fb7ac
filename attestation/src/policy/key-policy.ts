// Policy documents of IAM and KMS: parsed strictly, since a misspelt element decides nothing.
// @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html

import { check } from '../errors.ts'
import { parseConditions, type Condition } from './key-conditions.ts'
import { isBounded } from './pattern.ts'
import { parsePrincipals, type PrincipalEntry } from './principals.ts'

/** A list, or everything but the list (`NotAction`, `NotResource`, `NotPrincipal`). */
export interface Matcher<T> {
  readonly negated: boolean
  readonly entries: readonly T[]
}

/** One statement. */
export interface Statement {
  /** The Sid, or `#` and the statement's number from 1. */
  readonly name: string
  readonly effect: 'Allow' | 'Deny'
  /** Null in an identity's policy. */
  readonly principal: Matcher<PrincipalEntry> | null
  readonly action: Matcher<string>
  readonly resource: Matcher<string>
  readonly conditions: readonly Condition[]
}

/** A policy document. */
export interface PolicyDocument {
  /** Whether `${…}` is a variable: in version 2012-10-17 only. */
  readonly hasVariables: boolean
  readonly statements: readonly Statement[]
}

/** A key's policy names principals; an identity's must not. */
export type PolicyKind = 'key' | 'identity'

const CODE = 'ERR_KEY_POLICY_FORMAT'
const VERSIONS = ['2012-10-17', '2008-10-17']
const ELEMENTS = ['Version', 'Id', 'Statement']
const STATEMENT_ELEMENTS = [
  ...['Sid', 'Effect', 'Principal', 'NotPrincipal', 'Action', 'NotAction'],
  ...['Resource', 'NotResource', 'Condition'],
]
const ACTION = /^(\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+)$/
const MAX_STATEMENTS = 500
/** Each is searched for, or in, a value of a request, which can be long. */
const MAX_VARIABLES = 32

/**
 * Reads a policy from parsed JSON.
 * @throws AttestationError ERR_KEY_POLICY_FORMAT, ERR_CONDITION_FORMAT.
 */
export function parseKeyPolicy(value: unknown, kind: PolicyKind = 'key'): PolicyDocument {
  const policy = fieldsOf(value, 'the policy', ELEMENTS)
  const { Version: version = '2008-10-17', Statement: statement, Id: id = '' } = policy
  check(VERSIONS.includes(version as string), CODE, 'the version is not 2012-10-17')
  check(typeof id === 'string', CODE, 'the Id is not text')
  const list: readonly unknown[] = Array.isArray(statement) ? statement : [statement]
  check(list.length > 0 && list.length <= MAX_STATEMENTS, CODE, 'the policy has no statements')
  const statements = list.map((one, index) => parseStatement(one, index, kind))
  const names = new Set(statements.map(({ name }) => name))
  check(names.size === statements.length, CODE, 'two statements have the same Sid')
  const variables = statements.reduce((sum, one) => sum + variablesOf(one), 0)
  const most = `the policy has more than ${MAX_VARIABLES} variables`
  check(variables <= MAX_VARIABLES, CODE, most)
  return { hasVariables: version === '2012-10-17', statements }
}

function variablesOf({ resource, conditions }: Statement): number {
  const texts = [...resource.entries, ...conditions.flatMap(({ values }) => values)]
  return texts.reduce((sum, text) => sum + text.split('${').length - 1, 0)
}

function parseStatement(value: unknown, index: number, kind: PolicyKind): Statement {
  const number = `#${index + 1}`
  const fields = fieldsOf(value, `statement ${number}`, STATEMENT_ELEMENTS)
  const { Sid: sid = '', Effect: effect, Condition: condition } = fields
  check(typeof sid === 'string', CODE, `statement ${number}: the Sid is not text`)
  const name = sid === '' ? number : sid
  const where = `statement ${name}`
  check(effect === 'Allow' || effect === 'Deny', CODE, `${where}: Effect is not Allow or Deny`)
  const actions = matcherOf(fields, 'Action', where)
  for (const action of actions.entries) {
    check(ACTION.test(action), CODE, `${where}: ${action} is not an action`, { action })
  }
  return {
    name,
    effect,
    principal: principalsOf(fields, kind, where),
    action: actions,
    resource: matcherOf(fields, 'Resource', where),
    conditions: condition === undefined ? [] : parseConditions(condition),
  }
}

function principalsOf(
  fields: Readonly<Record<string, unknown>>,
  kind: PolicyKind,
  where: string,
): Matcher<PrincipalEntry> | null {
  const { Principal: principal, NotPrincipal: notPrincipal } = fields
  const count = [principal, notPrincipal].filter((one) => one !== undefined).length
  const right = count === (kind === 'key' ? 1 : 0)
  const rule = kind === 'key' ? 'names one of Principal and NotPrincipal' : 'names no principal'
  check(right, CODE, `${where}: a ${kind} policy ${rule}`)
  if (kind === 'identity') return null
  const negated = principal === undefined
  return { negated, entries: parsePrincipals(negated ? notPrincipal : principal, where) }
}

function matcherOf(
  fields: Readonly<Record<string, unknown>>,
  element: string,
  where: string,
): Matcher<string> {
  const [positive, negative] = [fields[element], fields[`Not${element}`]]
  const one = (positive === undefined) !== (negative === undefined)
  check(one, CODE, `${where}: give one of ${element} and Not${element}`)
  const value = positive ?? negative
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  const right =
    list.length > 0 &&
    list.every((text) => typeof text === 'string' && text !== '' && isBounded(text))
  check(right, CODE, `${where}: ${element} is not a list of text within bounds`)
  return { negated: positive === undefined, entries: list as readonly string[] }
}

function fieldsOf(
  value: unknown,
  where: string,
  known: readonly string[],
): Readonly<Record<string, unknown>> {
  const right = typeof value === 'object' && value !== null && !Array.isArray(value)
  check(right, CODE, `${where} is not an object`)
  for (const element of Object.keys(value)) {
    check(known.includes(element), CODE, `${where}: unknown element ${element}`, { element })
  }
  return value as Readonly<Record<string, unknown>>
}
