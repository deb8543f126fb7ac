// The file of principals: who may sign requests, with which keys, and what their own policies say. It
// stands in for IAM: users and role sessions of one account, each with policies of its own.

import {
  accountOf,
  AttestationError,
  isPrincipalArn,
  isSessionOf,
  parseKeyPolicy,
  type PolicyDocument,
} from '@cloister/attestation/policy'
import { check, CloisterError, withHint } from '../../errors.ts'
import { readInputFile } from '../../files/index.ts'
import { NO_VIA_SERVICE, usesViaService } from '../access/known-keys.ts'
import { checkPrivate } from '../private-file.ts'
import { parseStrictJson } from '../strict-json.ts'

/** Somebody who can sign requests. */
export interface Principal {
  readonly arn: string
  /** The ARN of a session's role, with its path; null when it has none, or it is not given. */
  readonly role: string | null
  readonly policies: readonly PolicyDocument[]
  /** For `aws:PrincipalTag/…`. */
  readonly tags: Readonly<Record<string, string>>
}

/** One key pair of a principal. */
export interface AccessKey {
  readonly principal: Principal
  readonly secret: string
  /** Of temporary credentials: the request must carry it. */
  readonly sessionToken: string | null
  readonly expiresMs: number | null
}

export interface Credentials {
  /** By access key id. */
  readonly keys: ReadonlyMap<string, AccessKey>
}

const CODE = 'ERR_KMS_CREDENTIALS'
const MAX_BYTES = 4 * 1024 * 1024
/** AWS's bounds, in characters. */
const [MAX_TAG_NAME, MAX_TAG_VALUE] = [128, 256]
const HINT = 'Give the file of principals; docs/kms.md shows one.'

/**
 * Reads the file of principals, which only its owner may read.
 * @throws ERR_KMS_CREDENTIALS
 */
export function readCredentials(path: string): Credentials {
  const hint = `Run \`chmod 600 ${path}\` as its owner, who is the broker's user or root, and replace the keys if others may have read them.`
  const bytes = readInputFile(path, {
    ...{ code: CODE, maxBytes: MAX_BYTES },
    inspect: (status) => checkPrivate(status, path, { code: CODE, hint }),
  })
  return parseCredentials(parsed(bytes, path))
}

function parsed(bytes: Uint8Array, path: string): unknown {
  try {
    return parseStrictJson(bytes, CODE, path)
  } catch (error) {
    throw error instanceof CloisterError ? withHint(error, HINT) : error
  }
}

/** @throws ERR_KMS_CREDENTIALS */
export function parseCredentials(value: unknown): Credentials {
  const { version, principals } = fieldsOf(value, 'the file', ['version', 'principals'])
  check(version === 1, CODE, 'the version is not 1', { hint: HINT })
  const keys = listOf(principals, 'principals').flatMap(keysOf)
  const map = new Map(keys)
  check(map.size === keys.length, CODE, 'two keys have the same accessKeyId')
  check(map.size > 0, CODE, 'no principal has a key', { hint: HINT })
  return { keys: map }
}

function keysOf(value: unknown, index: number): readonly (readonly [string, AccessKey])[] {
  const where = `principal ${String(index + 1)}`
  const known = ['arn', 'role', 'accessKeys', 'policies', 'tags']
  const { arn, role = null, accessKeys, policies = [], tags = {} } = fieldsOf(value, where, known)
  const right = typeof arn === 'string' && isPrincipalArn(arn) && accountOf(arn) !== ''
  check(right, CODE, `${where}: the arn is not that of a user or a role session`, { hint: HINT })
  const isItsRole = role === null || (typeof role === 'string' && isSessionOf(arn, role))
  check(isItsRole, CODE, `${where}: the role is not that of the session`, { hint: HINT })
  const principal: Principal = {
    arn,
    role,
    policies: listOf(policies, `${where}: policies`).map((one) => policyOf(one, where)),
    tags: tagsOf(tags, `${where}: tags`),
  }
  return listOf(accessKeys, `${where}: accessKeys`).map((one) => keyOf(one, where, principal))
}

/** Within AWS's bounds. Condition keys would not tell names apart that differ in case only. */
function tagsOf(value: unknown, where: string): Readonly<Record<string, string>> {
  const tags = textsOf(value, where)
  const names = Object.keys(tags).map((name) => `aws:PrincipalTag/${name}`.toLowerCase())
  const isUnique = new Set(names).size === names.length
  check(isUnique, CODE, `${where}: two names differ in case only`, { hint: HINT })
  const areShort = Object.entries(tags).every(
    ([name, text]) => name.length <= MAX_TAG_NAME && text.length <= MAX_TAG_VALUE,
  )
  check(areShort, CODE, `${where}: a name has over 128 characters, or a value over 256`)
  return tags
}

function keyOf(value: unknown, where: string, principal: Principal): readonly [string, AccessKey] {
  const known = ['accessKeyId', 'secretAccessKey', 'sessionToken', 'expiresAt']
  const fields = textsOf(fieldsOf(value, where, known), where)
  const { accessKeyId = '', secretAccessKey: secret = '', sessionToken = null, expiresAt } = fields
  check(
    /^\w{16,128}$/.test(accessKeyId),
    CODE,
    `${where}: an accessKeyId is not 16 to 128 letters and digits`,
  )
  const isLong = secret.length >= 32 && secret.length <= 256
  check(
    isLong,
    CODE,
    `${where}: the secretAccessKey of ${accessKeyId} does not have 32 to 256 characters`,
    { hint: '`openssl rand -base64 30` makes one.' },
  )
  const expiresMs = expiresAt === undefined ? null : Date.parse(expiresAt)
  check(!Number.isNaN(expiresMs), CODE, `${where}: expiresAt of ${accessKeyId} is not a date`)
  return [accessKeyId, { principal, secret, sessionToken, expiresMs }]
}

function policyOf(value: unknown, where: string): PolicyDocument {
  const policy = parsedPolicy(value, where)
  check(!usesViaService(policy), CODE, `${where}: ${NO_VIA_SERVICE}`, { hint: HINT })
  return policy
}

function parsedPolicy(value: unknown, where: string): PolicyDocument {
  try {
    return parseKeyPolicy(value, 'identity')
  } catch (cause) {
    if (!(cause instanceof AttestationError)) throw cause
    throw new CloisterError(CODE, `${where}: ${cause.message}`, { cause, hint: HINT })
  }
}

function fieldsOf(
  value: unknown,
  where: string,
  known: readonly string[],
): Readonly<Record<string, unknown>> {
  const right = typeof value === 'object' && value !== null && !Array.isArray(value)
  check(right, CODE, `${where} is not an object`, { hint: HINT })
  const unknown = Object.keys(value).find((name) => !known.includes(name))
  check(unknown === undefined, CODE, `${where}: unknown field ${String(unknown)}`, { hint: HINT })
  return value as Readonly<Record<string, unknown>>
}

function listOf(value: unknown, where: string): readonly unknown[] {
  check(Array.isArray(value), CODE, `${where} is not a list`, { hint: HINT })
  return value as readonly unknown[]
}

function textsOf(value: unknown, where: string): Readonly<Record<string, string>> {
  const right = typeof value === 'object' && value !== null && !Array.isArray(value)
  check(right, CODE, `${where} is not an object`, { hint: HINT })
  const texts = Object.values(value).every((one) => typeof one === 'string')
  check(texts, CODE, `${where}: a value is not text`, { hint: HINT })
  return value as Readonly<Record<string, string>>
}
