// What the console shows, and the two changes that it makes: a key is enabled or disabled.

import { randomUUID } from 'node:crypto'
import {
  decide,
  findGrantWarnings,
  findPolicyWarnings,
  isPrincipalArn,
  namedRoots,
  parseKeyPolicy,
  ROOT_CONDITION_KEY,
  ruleOnDocument,
  type PolicyDocument,
  type RequestContext,
  type StatementReport,
} from '@cloister/attestation/policy'
import { brokerWarnings } from '../policy-warnings.ts'
import { keyArn, type Place } from '../operations/key-names.ts'
import { stateOf } from '../operations/key-state.ts'
import type { KeyRecord } from '../store/key-table.ts'
import type { Store } from '../store/store.ts'

/** An answer that is an error. */
export class ConsoleError extends Error {
  override readonly name = 'ConsoleError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export interface ConsoleRequest {
  readonly store: Store
  readonly place: Place
  /** SHA-256 of each root that the broker trusts. */
  readonly roots: readonly string[]
  readonly now: () => number
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** Whether there is a token. */
  readonly canChange: boolean
  /** Whether the request has it. */
  readonly isAllowed: boolean
}

const KEYS_PER_PAGE = 100
const ENTRIES_PER_ANSWER = 100
const MAX_GRANTS = 500
const KEY_PATH = /^\/api\/keys\/([0-9a-f-]{36})(?:\/(decision|enable|disable))?$/
const PRINCIPAL = 'console'

/** @throws ConsoleError */
export function answerConsole(request: ConsoleRequest): object {
  const { method, path, store } = request
  // It shows nothing that might still be undone.
  store.settle()
  const [, id = '', action] = KEY_PATH.exec(path) ?? []
  if (method === 'POST' && (action === 'enable' || action === 'disable'))
    return setEnabled(request, id, action)
  if (method !== 'GET') throw new ConsoleError(404, 'not found')
  if (path === '/api/keys') return listKeys(request)
  if (path === '/api/audit') return listEntries(request)
  if (id !== '' && action === undefined) return describeKey(request, id)
  if (action === 'decision') return explainDecision(request, id)
  throw new ConsoleError(404, 'not found')
}

function listKeys({ store, query, canChange }: ConsoleRequest): object {
  const ids = store.keys.list(query.get('after') ?? '', KEYS_PER_PAGE)
  const keys = ids.map((id) => summaryOf(store, findKey(store, id)))
  return { keys, next: ids.length < KEYS_PER_PAGE ? null : ids.at(-1), canChange }
}

function summaryOf(store: Store, key: KeyRecord): object {
  const aliases = store.aliases.namesOf(key.id)
  const { id, spec, usage } = key
  return { id, aliases, spec, usage, state: stateOf(key) }
}

function describeKey({ store, roots, canChange }: ConsoleRequest, id: string): object {
  const key = findKey(store, id)
  const policy = parseKeyPolicy(JSON.parse(key.policy))
  const grants = grantsOf(store, id)
  return {
    ...summaryOf(store, key),
    ...{ description: key.description, policy: JSON.parse(key.policy) as unknown, canChange },
    warnings: [
      ...findPolicyWarnings(policy, roots),
      ...findGrantWarnings(policy, grants),
      ...brokerWarnings(policy),
    ],
    grants: grants.map(({ grantee, operations }) => ({ grantee, operations })),
  }
}

/** What the key's policy and grants decide, without the principal's own policies. */
function explainDecision({ store, place, roots, query }: ConsoleRequest, id: string): object {
  const [principal, action, pcr0] = ['principal', 'action', 'pcr0'].map(
    (name) => query.get(name) ?? '',
  ) as [string, string, string]
  if (!isPrincipalArn(principal)) throw new ConsoleError(400, 'the principal is not an ARN')
  if (!/^kms:\w{1,64}$/.test(action)) throw new ConsoleError(400, 'the action is not kms:…')
  const key = parseKeyPolicy(JSON.parse(findKey(store, id).policy))
  const policies = { key, identity: [] }
  const { context, ignored } = ruleOnDocument(documentOf(pcr0, key, roots), policies, roots)
  const { allowed, reason, statements } = decide(
    { principal, action, resource: keyArn(id, place), context },
    { ...policies, account: place.account, grants: grantsOf(store, id) },
  )
  return {
    ...{ decision: allowed ? 'Allow' : 'Deny', reason },
    statements: [...(ignored === null ? [] : [ignored]), ...statements.map(sentenceOf)],
  }
}

/** The condition keys of a document with this PCR0, under a root that the key accepts. */
function documentOf(pcr0: string, key: PolicyDocument, roots: readonly string[]): RequestContext {
  if (pcr0 === '') return {}
  const named = namedRoots([key])
  const root = roots.find((one) => named.has(one)) ?? roots[0]
  const document = 'kms:RecipientAttestation:'
  return {
    ...{ [`${document}PCR0`]: pcr0, [`${document}ImageSha384`]: pcr0 },
    ...(root === undefined ? {} : { [ROOT_CONDITION_KEY]: root }),
  }
}

function sentenceOf(report: StatementReport): string {
  const { policy, statement, effect, applies } = report
  const parts = [
    ...(report.principal ? [] : ['another principal']),
    ...(report.action ? [] : ['another action']),
    ...(report.resource ? [] : ['another resource']),
    ...report.conditions
      .filter(({ holds }) => !holds)
      .map(({ operator, key }) => `${operator} on ${key} does not hold`),
  ]
  const result = applies ? 'applies' : `does not apply: ${parts.join(', ')}`
  return `${policy}, ${statement} (${effect}): ${result}`
}

function listEntries({ store, query }: ConsoleRequest): object {
  const { length } = store.audit
  const given = Number(query.get('after') ?? Number.NaN)
  const after = Number.isSafeInteger(given) ? given : 0
  const entries = store.audit.list(Math.max(after, length - ENTRIES_PER_ANSWER), ENTRIES_PER_ANSWER)
  return { entries, last: entries.at(-1)?.seq ?? length }
}

function setEnabled(request: ConsoleRequest, id: string, action: 'enable' | 'disable'): object {
  const { store, place, now, isAllowed } = request
  if (!isAllowed) throw new ConsoleError(403, 'changes need the token')
  const enabled = action === 'enable'
  return store.transaction(() => {
    const key = findKey(store, id)
    if (!['Enabled', 'Disabled'].includes(stateOf(key)))
      throw new ConsoleError(409, `the key is ${stateOf(key)}`)
    store.keys.put({ ...key, enabled })
    store.audit.append({
      ...{ time: new Date(now()).toISOString(), requestId: randomUUID(), sourceIp: '127.0.0.1' },
      ...{ principal: PRINCIPAL, operation: enabled ? 'EnableKey' : 'DisableKey' },
      ...{ key: keyArn(id, place), decisions: [] },
    })
    return { state: stateOf({ ...key, enabled }) }
  })
}

function grantsOf(store: Store, id: string): ReturnType<Store['grants']['ofKey']> {
  return store.grants.ofKey(id, { after: '', count: MAX_GRANTS })
}

function findKey(store: Store, id: string): KeyRecord {
  const key = store.keys.find(id)
  if (key === undefined) throw new ConsoleError(404, 'there is no such key')
  return key
}
