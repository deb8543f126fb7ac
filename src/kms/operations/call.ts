// One request on its way through an operation: its fields, who asks, and the steps that operations share:
// finding a key, asking the policies, answering to a document.

import type { Decision, RequestContext } from '@cloister/attestation/policy'
import {
  accessDenied,
  auditDecision,
  decideAccess,
  type AuditDecision,
} from '../access/authorize.ts'
import { requestContext, type RequestFacts } from '../access/request-context.ts'
import type { Fields } from '../fields.ts'
import { KmsError } from '../kms-error.ts'
import type { Recipient } from '../recipient/recipient.ts'
import type { KeyRecord } from '../store/key-table.ts'
import type { Store } from '../store/store.ts'
import { aliasArn, findKey, keyArn, type FoundKey, type Place } from './key-names.ts'

/** What an operation answers: the JSON of the response, null for an empty body. */
export type Answer = Readonly<Record<string, unknown>> | null

/** The last step of an operation that first had to wait: it runs in the transaction that writes. */
export type LastStep = () => Answer

/** One operation of the API. */
export interface Operation {
  /** Whether AWS's model has `Recipient` for it. */
  readonly takesRecipient?: boolean
  readonly run: (call: Call) => Answer | Promise<LastStep>
}

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
  subject: { key?: string; encryptionContext?: Readonly<Record<string, string>> } = {}
  readonly #facts: RequestFacts
  readonly #context: RequestContext

  constructor({ store, place, fields, facts, recipient }: CallParts) {
    this.store = store
    this.place = place
    this.fields = fields
    this.recipient = recipient
    this.nowMs = facts.nowMs
    this.#facts = facts
    this.#context = requestContext(facts)
  }

  /** The key that a KeyId names. Names of keys count where `aliases` says so. */
  key(keyId: string, aliases = true): FoundKey {
    const found = findKey(keyId, this.store, { place: this.place, aliases })
    this.subject = { ...this.subject, key: keyArn(found.key.id, this.place) }
    return found
  }

  /** @throws KmsError AccessDeniedException unless the policies allow an action on a key. */
  authorizeKey(action: string, { key, alias }: FoundKey, context: RequestContext = {}): void {
    const resource = keyArn(key.id, this.place)
    this.#require(action, resource, key.policy, { ...this.#keyContext(key, alias), ...context })
  }

  /** The same for an alias, where the policies of the principal decide. */
  authorizeAlias(action: string, name: string): void {
    this.#require(action, aliasArn(name, this.place), null, {})
  }

  /** The same for an action that has no key. */
  authorize(action: string, context: RequestContext = {}): void {
    this.#require(action, '*', null, context)
  }

  /** What a policy that is not in force yet would say. */
  preview(action: string, keyPolicy: string): Decision {
    const question = { action, resource: '*', keyPolicy, context: this.#context }
    return decideAccess(this.#facts.principal, this.place.account, question)
  }

  /** The plain field of an answer, or what the recipient can open in its place. */
  answerSecret(field: string, plaintext: Uint8Array): Readonly<Record<string, string>> {
    const { recipient } = this
    if (recipient === null) return { [field]: base64(plaintext) }
    return { CiphertextForRecipient: base64(recipient.encrypt(plaintext)) }
  }

  #require(
    action: string,
    resource: string,
    keyPolicy: string | null,
    context: RequestContext,
  ): void {
    const question = { action, resource, keyPolicy, context: { ...this.#context, ...context } }
    const decision = decideAccess(this.#facts.principal, this.place.account, question)
    this.decisions.push(auditDecision(action, decision))
    if (!decision.allowed) throw accessDenied(this.#facts.principal, question, decision)
  }

  #keyContext(key: KeyRecord, alias: string | null): RequestContext {
    const aliases = this.store.aliases.list('', MAX_ALIASES, key.id).map(({ name }) => name)
    return {
      'kms:KeySpec': key.spec,
      'kms:KeyUsage': key.usage,
      'kms:KeyOrigin': key.origin,
      'kms:MultiRegion': 'false',
      ...(aliases.length > 0 ? { 'kms:ResourceAliases': aliases } : {}),
      ...(alias === null ? {} : { 'kms:RequestAlias': alias }),
    }
  }
}

/** AWS's quota of names for one key. */
export const MAX_ALIASES = 50

/** Binary fields are base64 in JSON 1.1. */
export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

/** Ends a request that only asks whether it would succeed. */
export function endDryRun(isDryRun: boolean): void {
  if (!isDryRun) return
  const message = 'The request would have succeeded, but the DryRun option is set.'
  throw new KmsError('DryRunOperationException', message, 412)
}
