// CreateKey: keys of the kinds in crypto/key-specs.ts, made here. RSA takes a while: the key is generated before
// the transaction that writes it.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html

import { randomUUID } from 'node:crypto'
import {
  algorithmsOf,
  isKnownSpec,
  KEY_SPECS,
  KEY_USAGES,
  type KeySpec,
  type KeyUsage,
} from '../crypto/key-specs.ts'
import { generateMaterial, type KeyMaterial } from '../crypto/key-material.ts'
import { invalid, unsupported } from '../kms-error.ts'
import type { KeyRecord } from '../store/key-table.ts'
import type { Answer, Call, Operation } from './call.ts'
import { metadataOf } from './key-metadata.ts'
import { keyArn } from './key-names.ts'
import { readTags, tagKeys } from './tags.ts'
import { checkNewPolicy, defaultPolicy, MAX_POLICY } from './policy-rules.ts'

/** Of ML-KEM keys. */
const ENCAPSULATE = 'ENCAPSULATE_DECAPSULATE'
const ORIGINS = ['AWS_KMS', 'EXTERNAL', 'AWS_CLOUDHSM', 'EXTERNAL_KEY_STORE'] as const

export const createKey: Operation = {
  async prepare(call) {
    const { spec, origin } = authorized(call)
    const material = origin === 'AWS_KMS' ? await generateMaterial(spec) : null
    return (again) => create(again, { ...authorized(again), material })
  },
}

function authorized(call: Call): Omit<New, 'material'> {
  const { fields } = call
  const description = fields.possiblyEmptyText('Description', 8192) ?? ''
  const given = fields.text('Policy', MAX_POLICY)
  const bypass = fields.flag('BypassPolicyLockoutSafetyCheck')
  const { spec, usage, origin } = readKind(call)
  const tags = readTags(fields) ?? {}
  fields.end()
  call.authorize('kms:CreateKey', {
    'kms:KeySpec': spec,
    'kms:KeyUsage': usage,
    'kms:KeyOrigin': origin,
    'kms:MultiRegion': 'false',
    'kms:BypassPolicyLockoutSafetyCheck': String(bypass),
    ...tagKeys(tags),
  })
  if (Object.keys(tags).length > 0) call.authorize('kms:TagResource', tagKeys(tags))
  const policy = given ?? defaultPolicy(call.place)
  // Its id is not known yet: a policy can only name it with a wildcard.
  checkNewPolicy(call, { id: randomUUID(), policy, spec, usage, origin, tags }, bypass)
  return { description, policy, spec, usage, origin, tags }
}

type New = Pick<KeyRecord, 'description' | 'policy' | 'spec' | 'usage' | 'origin' | 'tags'> & {
  /** Null for a key that waits for material from outside. */
  readonly material: KeyMaterial | null
}

function create(call: Call, { material, ...fields }: New): Answer {
  const { store, nowMs, place } = call
  const publicKey = material?.publicKey ?? null
  const empty = store.keys.create({ ...fields, publicKey }, nowMs)
  call.subject = { key: keyArn(empty.id, place) }
  if (material === null) return { KeyMetadata: metadataOf(empty, call) }
  const first = { keyId: empty.id, number: 1, createdMs: nowMs, cause: 'CREATED' } as const
  store.materials.add(material.secret, first)
  const key = { ...empty, material: 1 }
  store.keys.put(key)
  return { KeyMetadata: metadataOf(key, call) }
}

/** What the broker does not have is refused in words. */
function readKind({ fields }: Call): Pick<KeyRecord, 'spec' | 'usage' | 'origin'> {
  const spec = readSpec(fields.choice('KeySpec', KEY_SPECS), fields)
  const usage = readUsage(fields)
  const origin = fields.choice('Origin', ORIGINS) ?? 'AWS_KMS'
  if (!isKnownSpec(spec)) throw unsupported(`KeySpec ${spec}: this broker has no keys of this kind`)
  if (origin !== 'AWS_KMS' && origin !== 'EXTERNAL')
    throw unsupported(`Origin ${origin}: this broker has no custom key stores`)
  fields.refuse({
    MultiRegion: 'this broker has no regions to copy keys to',
    CustomKeyStoreId: 'this broker has no custom key stores',
    XksKeyId: 'this broker has no external key stores',
  })
  return { spec, usage: usageFor(spec, usage), origin }
}

/** `CustomerMasterKeySpec` is the old name of the same field. */
function readSpec(spec: KeySpec | undefined, fields: Call['fields']): KeySpec {
  const old = fields.choice('CustomerMasterKeySpec', KEY_SPECS)
  if (spec !== undefined && old !== undefined)
    throw invalid('You cannot specify KeySpec and CustomerMasterKeySpec in the same request.')
  return spec ?? old ?? 'SYMMETRIC_DEFAULT'
}

function readUsage(fields: Call['fields']): KeyUsage | undefined {
  const usage = fields.choice('KeyUsage', [...KEY_USAGES, ENCAPSULATE])
  if (usage === ENCAPSULATE) throw unsupported(`KeyUsage ${usage}: this broker has no such keys`)
  return usage
}

function usageFor(spec: KeySpec, usage: KeyUsage | undefined): KeyUsage {
  if (usage === undefined && spec !== 'SYMMETRIC_DEFAULT')
    throw invalid(
      'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.',
    )
  const chosen = usage ?? 'ENCRYPT_DECRYPT'
  if (algorithmsOf(spec, chosen) === undefined)
    throw invalid(`KeyUsage ${chosen} is not compatible with KeySpec ${spec}`)
  return chosen
}
