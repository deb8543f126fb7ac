// One request on its way through an operation: its fields, who asks, and the steps that operations share:
// finding a key, asking the policies, answering to a document.

import type { RequestContext } from '@cloister/attestation/policy'
import {
  accessDenied,
  auditDecision,
  decideAccess,
  type AccessDecision,
  type AccessQuestion,
  type AuditDecision,
} from '../access/authorize.ts'
import { NONCE_KEY, requestContext, type RequestFacts } from '../access/request-context.ts'
import type { Fields } from '../fields.ts'
import { KmsError } from '../kms-error.ts'
import type { Recipient } from '../recipient/recipient.ts'
import type { AuditEntry } from '../store/audit-log.ts'
import type { GrantRecord } from '../store/grant-table.ts'
import type { KeyRecord } from '../store/key-table.ts'
import type { Store } from '../store/store.ts'
import { isWithin, type NewGrant } from './grant-request.ts'
import { aliasArn, findKey, keyArn, type FoundKey, type Place } from './key-names.ts'

/** What an operation answers: the JSON of the response, null for an empty body. */
export type Answer = Readonly<Record<string, unknown>> | null

/** One operation of the API. */
export type Operation = QuickOperation | SlowOperation

interface AnyOperation {
  /** Whether AWS's model has `Recipient` for it. */
  readonly takesRecipient?: boolean
}

export interface QuickOperation extends AnyOperation {
  /** Reads and authorizes the request and does the work, in the transaction that also logs it. */
  readonly run: (call: Call) => Answer
  /** Done when what `run` wrote is on the disk. */
  readonly afterwards?: (call: Call) => void
}

/** An operation that generates a key, which takes time. */
export interface SlowOperation extends AnyOperation {
  /**
   * Authorizes the request, changes nothing, and returns what does the rest. That reads and authorizes the request again:
   * the key, its policy and the nonce may have changed.
   */
  readonly prepare: (call: Call) => Promise<QuickOperation['run']>
}

/** What policies see of a key. */
export type KeyFacts = Pick<KeyRecord, 'id' | 'policy' | 'spec' | 'usage' | 'origin' | 'tags'>

/** What a request is made of. */
export interface CallParts {
  readonly store: Store
  readonly place: Place
  readonly fields: Fields
  readonly facts: RequestFacts
  readonly recipient: Recipient | null
}

/**
 * What an operation works with. Each authorization throws KmsError `AccessDeniedException` when it
 * is denied, and is kept in `decisions` either way.
 */
export class Call {
  readonly fields: Fields
  readonly store: Store
  readonly place: Place
  readonly recipient: Recipient | null
  /** Milliseconds since the epoch. */
  readonly nowMs: number
  /** For the audit log. */
  readonly decisions: AuditDecision[] = []
  /** For the audit log: the key and context of the request. */
  subject: Pick<AuditEntry, 'key' | 'destinationKey' | 'encryptionContext'> = {}
  readonly #facts: RequestFacts
  #context: RequestContext

  constructor({ store, place, fields, facts, recipient }: CallParts) {
    this.store = store
    this.place = place
    this.fields = fields
    this.recipient = recipient
    this.nowMs = facts.nowMs
    this.#facts = facts
    this.#context = requestContext(facts)
  }

  /** Uses the nonce in the document up, if there is one, unless the request fails. */
  useNonce(): void {
    this.#judgeNonce((nonce) => this.store.nonces.use(nonce, this.nowMs))
  }

  /** Only looks whether it could be used. */
  lookAtNonce(): void {
    this.#judgeNonce((nonce) => this.store.nonces.isUnused(nonce, this.nowMs))
  }

  #judgeNonce(isUnused: (nonce: Uint8Array) => boolean): void {
    const nonce = this.recipient?.attestation.nonce ?? null
    if (nonce === null) return
    this.#context = { ...this.#context, [NONCE_KEY]: String(isUnused(nonce)) }
  }

  /** The key that a KeyId names. Names of keys count where `aliases` says so. */
  key(keyId: string, aliases = true): FoundKey {
    const found = findKey(keyId, this.store, { place: this.place, aliases })
    this.subject = { ...this.subject, key: keyArn(found.key.id, this.place) }
    return { ...found, key: this.#asOfNow(found.key) }
  }

  /** Expired material is not used, even if maintenance could not delete it yet. */
  #asOfNow(key: KeyRecord): KeyRecord {
    const isImported = key.origin === 'EXTERNAL' && !key.pendingImport
    const isExpired = isImported && this.store.materials.hasExpired(key, this.nowMs)
    return isExpired ? { ...key, pendingImport: true } : key
  }

  /** @throws KmsError AccessDeniedException unless the policies, or a grant, allow an action on a key. */
  authorizeKey(action: string, { key, alias }: FoundKey, context: RequestContext = {}): void {
    const grants = () => this.store.grants.ofKey(key.id, ALL_GRANTS)
    const question = this.#keyQuestion(action, { key, alias }, context)
    this.#require({ ...question, grants })
  }

  /** The same for CreateGrant: by a grant of one's own, no more than that can be passed on. */
  authorizeGrant({ key, alias }: FoundKey, grant: NewGrant, context: RequestContext): void {
    const grants = () =>
      this.store.grants.ofKey(key.id, ALL_GRANTS).filter((one) => isWithin(grant, one))
    const question = this.#keyQuestion('kms:CreateGrant', { key, alias }, context)
    this.#require({ ...question, grants })
  }

  /**
   * The same for RetireGrant: for the principal that the grant names for it, for its grantee where it allows
   * that, and for principals of the account whose own policies allow it.
   */
  authorizeRetiring({ key, alias }: FoundKey, grant: GrantRecord): void {
    const action = 'kms:RetireGrant'
    const { retiring } = grant
    const own = { ...grant, contextEquals: null, contextSubset: null, operations: ['RetireGrant'] }
    const named = retiring === '' ? [] : [{ ...own, grantee: retiring }]
    const question = this.#keyQuestion(action, { key, alias }, {})
    const decision = this.#decide({ ...question, grants: () => [...named, grant] })
    if (decision.reason === 'no-allow') this.#require({ ...question, keyPolicy: null })
    else this.#note({ ...question, grants: () => [] }, decision)
  }

  /** Grants count at once here: their tokens need only be this broker's. */
  readGrantTokens(): void {
    const tokens = this.fields.texts('GrantTokens', { most: 10, longest: 8192 })
    for (const token of tokens) this.grantOfToken(token)
  }

  /** @throws KmsError InvalidGrantTokenException. */
  grantOfToken(token: string): string {
    const id = this.store.grants.idOfToken(token)
    if (id !== undefined) return id
    throw new KmsError('InvalidGrantTokenException', 'The specified grant token is not valid.')
  }

  /** The same for an alias, where the policies of the principal decide. */
  authorizeAlias(action: string, name: string): void {
    this.#require({ action, resource: aliasArn(name, this.place), keyPolicy: null, context: {} })
  }

  /** The same for an action that has no key. */
  authorize(action: string, context: RequestContext = {}): void {
    this.#require({ action, resource: '*', keyPolicy: null, context })
  }

  /** What a key whose policy is not in force yet would say about replacing it. */
  previewPutKeyPolicy(key: KeyFacts): AccessDecision {
    const context = { 'kms:BypassPolicyLockoutSafetyCheck': 'false' }
    return this.#decide(this.#keyQuestion('kms:PutKeyPolicy', { key, alias: null }, context))
  }

  /** The plain field of an answer, or what the recipient can open in its place. */
  answerSecret(field: string, plaintext: Uint8Array): Readonly<Record<string, string>> {
    const { recipient } = this
    if (recipient === null) return { [field]: base64(plaintext) }
    return { CiphertextForRecipient: base64(recipient.encrypt(plaintext)) }
  }

  #keyQuestion(
    action: string,
    { key, alias }: { readonly key: KeyFacts; readonly alias: string | null },
    context: RequestContext,
  ): AccessQuestion {
    const resource = keyArn(key.id, this.place)
    const all = { ...this.#keyContext(key, alias), ...context }
    return { action, resource, keyPolicy: key.policy, context: all }
  }

  #require(question: AccessQuestion): void {
    this.#note(question, this.#decide(question))
  }

  #decide({ context, ...question }: AccessQuestion): AccessDecision {
    const { principal, roots } = this.#facts
    const domain = { account: this.place.account, roots }
    const all = { ...this.#context, ...context }
    return decideAccess(principal, domain, { ...question, context: all })
  }

  #note(question: AccessQuestion, decision: AccessDecision): void {
    this.decisions.push(auditDecision(question.action, decision))
    if (!decision.allowed) throw accessDenied(this.#facts.principal, question, decision)
  }

  #keyContext(key: KeyFacts, alias: string | null): RequestContext {
    const aliases = this.store.aliases.namesOf(key.id)
    const tags = Object.entries(key.tags).map(([name, value]) => [`aws:ResourceTag/${name}`, value])
    return {
      ...(Object.fromEntries(tags) as RequestContext),
      'kms:KeySpec': key.spec,
      'kms:KeyUsage': key.usage,
      'kms:KeyOrigin': key.origin,
      'kms:MultiRegion': 'false',
      ...(aliases.length > 0 ? { 'kms:ResourceAliases': aliases } : {}),
      ...(alias === null ? {} : { 'kms:RequestAlias': alias }),
    }
  }
}

/** Grants on one key. AWS allows 50,000, and does not look through them for each request. */
export const MAX_GRANTS = 500
const ALL_GRANTS = { after: '', count: MAX_GRANTS } as const

/** Binary fields are base64 in JSON 1.1. */
export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

/** Ends a request that only asks whether it would succeed. */
export function endDryRun(isDryRun: boolean): void {
  if (isDryRun) throw dryRunSucceeded()
}

/** How a dry run ends that succeeds. */
export function dryRunSucceeded(): KmsError {
  const message = 'The request would have succeeded, but the DryRun option is set.'
  return new KmsError('DryRunOperationException', message, 412)
}
