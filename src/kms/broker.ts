// The broker: a request is believed when its signature holds, its document (if it brings one) verifies, and
// the policies allow it. Whatever the outcome, it is in the audit log before the answer is sent.

import { CloisterError } from '../errors.ts'
import type { RequestFacts } from './access/request-context.ts'
import type { Credentials, Principal } from './auth/credentials-file.ts'
import { presignedTarget } from './auth/presigned.ts'
import { authenticate } from './auth/sigv4.ts'
import { Fields } from './fields.ts'
import type { ReceivedRequest } from './http/server.ts'
import { KmsError, UnservedError, unsupported } from './kms-error.ts'
import {
  Call,
  type Answer,
  type Operation,
  type QuickOperation,
  type SlowOperation,
} from './operations/call.ts'
import { EXTENSIONS, MISSING, OPERATIONS } from './operations/index.ts'
import type { Place } from './operations/key-names.ts'
import type { RecipientVerifier } from './recipient/recipient.ts'
import { rootDigest } from './recipient/root-digest.ts'
import type { AuditEntry } from './store/audit-log.ts'
import type { Store } from './store/store.ts'
import { parseStrictJson } from './strict-json.ts'
import type { Throttle } from './throttle.ts'
import type { Upkeep } from './upkeep.ts'

export interface BrokerParts {
  readonly store: Store
  readonly credentials: Credentials
  readonly recipients: RecipientVerifier
  /** SHA-256 of each root that `recipients` accepts. */
  readonly roots: readonly string[]
  readonly place: Place
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly upkeep: Upkeep
  readonly throttle: Throttle
}

const TARGET = 'TrentService.'

/** Answers one request. */
export async function answerRequest(request: ReceivedRequest, parts: BrokerParts): Promise<Answer> {
  const nowMs = parts.now()
  const { name, principal } = senderOf(request, parts, nowMs)
  parts.upkeep.work()
  const { requestId, sourceIp, userAgent, isSecure } = request
  const start: AuditStart = {
    time: new Date(nowMs).toISOString(),
    ...{ requestId, sourceIp, principal: principal.arn, operation: name },
  }
  const { region } = parts.place
  const facts = { principal, nowMs, region, sourceIp, userAgent, isSecure, roots: parts.roots }
  const attempt: Attempt = { request, parts, facts, start, call: undefined }
  try {
    return await serve(operationOf(name), attempt)
  } catch (error) {
    await recordFailure(attempt, error)
    throw error
  }
}

/** A request that is served, and its last call, for the log. */
interface Attempt {
  readonly request: ReceivedRequest
  readonly parts: BrokerParts
  readonly facts: Omit<RequestFacts, 'attestation'>
  readonly start: AuditStart
  call: Call | undefined
}

interface Sender {
  /** Of the operation. */
  readonly name: string
  readonly principal: Principal
}

/** @throws UnservedError */
function senderOf(
  request: ReceivedRequest,
  { credentials, place: { region }, throttle }: BrokerParts,
  nowMs: number,
): Sender {
  try {
    const name = operationName(request)
    const principal = authenticate(request, { credentials, region, nowMs })
    throttle.take(principal.arn, nowMs)
    return { name, principal }
  } catch (error) {
    throw error instanceof KmsError ? new UnservedError(error) : error
  }
}

async function serve(operation: Operation, attempt: Attempt): Promise<Answer> {
  const { request, parts, facts, start } = attempt
  const { store, place, recipients, now } = parts
  const fields = new Fields(parseBody(request.body))
  const recipient =
    operation.takesRecipient === true
      ? await recipients.verify(fields, request.recipientContent)
      : null
  const attestation = recipient?.attestation ?? null
  const newCall = (nowMs: number): Call =>
    (attempt.call = new Call({
      ...{ store, place, fields, recipient },
      facts: { ...facts, nowMs, attestation },
    }))
  if (!('prepare' in operation)) return await perform(operation, newCall(facts.nowMs), start)
  const run = await prepare(operation, newCall(facts.nowMs))
  return await perform({ run }, newCall(now()), start)
}

/** Outside of any transaction: nothing is changed, whether it succeeds or not. */
async function prepare({ prepare }: SlowOperation, call: Call): Promise<QuickOperation['run']> {
  call.lookAtNonce()
  return await prepare(call)
}

/** A change, the nonce it uses and its entry in the log are one step. */
async function perform(
  { run, afterwards }: QuickOperation,
  call: Call,
  start: AuditStart,
): Promise<Answer> {
  const { store } = call
  const answer = await store.step(() => {
    call.useNonce()
    const done = run(call)
    store.audit.append(entryOf(start, call))
    return done
  })
  afterwards?.(call)
  return answer
}

type AuditStart = Pick<AuditEntry, 'time' | 'requestId' | 'sourceIp' | 'principal' | 'operation'>

function entryOf(start: AuditStart, call: Call | undefined): AuditEntry {
  const attestation = call?.recipient?.attestation
  const recipient = attestation && {
    moduleId: attestation.moduleId,
    assurance: attestation.assurance,
    rootSha256: rootDigest(attestation.certificates[0]?.der ?? new Uint8Array()),
    pcrs: Object.fromEntries(
      Object.entries(attestation.pcrs).filter(([, value]) => !isZero(value)),
    ),
  }
  return {
    ...start,
    ...call?.subject,
    ...(recipient ? { recipient } : {}),
    decisions: call?.decisions ?? [],
  }
}

function isZero(hex: string): boolean {
  return /^0+$/.test(hex)
}

async function recordFailure(
  { parts: { store }, start, call }: Attempt,
  error: unknown,
): Promise<void> {
  const known = error instanceof KmsError
  const failure = known
    ? { error: error.type, message: error.message }
    : { error: error instanceof CloisterError ? error.code : 'KMSInternalException' }
  await store.step(() => {
    store.audit.append({ ...entryOf(start, call), ...failure })
  })
}

/** Before anybody is asked who they are: what is not for this service at all. */
function operationName({ method, url, target }: ReceivedRequest): string {
  const isOurs = method === 'POST' && (url === '/' || url.startsWith('/?'))
  const name = target || (presignedTarget(url) ?? '')
  if (isOurs && EXTENSIONS.has(name)) return name
  if (isOurs && name.startsWith(TARGET)) return name.slice(TARGET.length)
  throw new KmsError(
    'UnknownOperationException',
    'not a request of AWS KMS: POST / with X-Amz-Target',
  )
}

function operationOf(name: string): Operation {
  const operation = OPERATIONS.get(name) ?? EXTENSIONS.get(name)
  if (operation !== undefined) return operation
  if (MISSING.has(name)) throw unsupported(`${name}: this broker does not have this operation yet`)
  throw new KmsError(
    'UnknownOperationException',
    `${name.slice(0, 64)} is not an operation of AWS KMS`,
  )
}

function parseBody(body: Uint8Array): unknown {
  try {
    return parseStrictJson(body, 'ERR_KMS_REQUEST', 'the request')
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error
    throw new KmsError('SerializationException', error.message)
  }
}
